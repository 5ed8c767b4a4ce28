"""Alarms: what a customer wants to be told about, and telling it safely.

``api`` takes definitions in → ``evaluation`` claims what is due and reads what many alarms need in one statement → ``rules`` decide →
``evaluation`` writes state, history and deliveries in one transaction → ``deliveries`` lease what is due → ``notifiers``, a role without a
store, make one attempt each and report back.
"""
