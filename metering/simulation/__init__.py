"""A make-believe cloud that behaves like one: projects whose instances start, resize, stop, migrate and go, day and night.

Pure and deterministic: the same seed over the same time gives the same samples. The way of a poll: ``fleet`` (who lives where, what
happens) → ``instances`` (counters and states of one) → ``sealing`` (signed batches, as an agent would send them).
"""
