"""Notifications of a cloud, made into samples and events.

``listener`` takes them from the cloud's bus and hands many at once to our own as one signed bundle → ``transform`` opens it: ``unpacking``
reads each (``nova``: both formats become one; ``neutron``: several told in one become several), ``definitions`` make samples and events
of it, ``agents.pipeline`` says where they go, the outbox keeps what goes to the collector → the sender. What cannot be understood goes
to the collector's quarantine, alone. ``role`` puts it together; ``rules`` are the operator's files.
"""
