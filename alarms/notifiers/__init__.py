"""Making one attempt to tell somebody: a role without a store, for it calls addresses that users supply.

``tasks`` takes an attempt that has all it needs → ``attempts`` makes it in a thread of its own, through the notifier of its URL's scheme →
``contract.Outcome`` says what came of it, and goes back as a report. A plugin is a class of ``contract.Notifier`` under the entry point
group ``celometer.notifiers``.
"""
