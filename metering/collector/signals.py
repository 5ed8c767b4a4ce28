"""What the collector says aloud, for whoever builds on metering: it does not know who listens."""

from __future__ import annotations

from django.dispatch import Signal

__all__ = ["events_stored"]

# After the commit of a batch of events. No arguments: who wants to know more reads the store.
events_stored = Signal()
