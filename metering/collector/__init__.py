"""Takes signed batches in, each exactly once.

The way of a message: ``tasks`` (from the broker) → ``ingestion`` (decides) → ``verification`` (signature, body, policy) →
``dimensions`` (ids of meters, resources, states) → ``writer`` (one transaction) — or ``quarantine``, with the reason.
"""
