"""Takes signed batches in, each exactly once.

The way of a message: ``tasks`` (from the broker) → ``ingestion`` (decides) → ``verification`` (signature, body, policy) →
``dimensions`` (ids of meters, resources, states) → ``lines`` and ``writer`` (one transaction) — or ``quarantine``, with the reason.
While the server writes one message, ``opening`` does what it can of the next.
"""
