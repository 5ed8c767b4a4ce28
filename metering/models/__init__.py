"""Everything that is stored.

Read top-down: who sends (agents), what came (ledger), what it says (samples, meters, events), who asks (accounts).
"""

from .accounts import ApiToken, Membership, RequestCount, Role, TokenScope
from .agents import Agent, AgentKey
from .events import Event, EventOwner, EventRaw, EventType, TraitKind
from .ledger import Batch, BatchBody, Origin, ParkedBatch, Quarantine
from .meters import Chain, DimensionSet, Meter, Resource, ResourceState, Series
from .retention import RetentionClass, RetentionFloor
from .rollups import RollupDay, RollupDayMark, RollupHour
from .samples import RollupMark, Sample

__all__ = [
    "Agent",
    "AgentKey",
    "ApiToken",
    "Batch",
    "BatchBody",
    "Chain",
    "DimensionSet",
    "Event",
    "EventOwner",
    "EventRaw",
    "EventType",
    "Membership",
    "Meter",
    "Origin",
    "ParkedBatch",
    "Quarantine",
    "RequestCount",
    "Resource",
    "ResourceState",
    "RetentionClass",
    "RetentionFloor",
    "Role",
    "RollupDay",
    "RollupDayMark",
    "RollupHour",
    "RollupMark",
    "Sample",
    "Series",
    "TokenScope",
    "TraitKind",
]
