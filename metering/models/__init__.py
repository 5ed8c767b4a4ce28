"""Everything that is stored. Read top-down: who sends (agents), what came (ledger), what it says (samples, meters), who asks (accounts)."""

from .accounts import ApiToken, Membership
from .agents import Agent, AgentKey
from .ledger import Batch, BatchBody, Origin, ParkedBatch, Quarantine
from .meters import Meter, Resource, ResourceState, Series
from .retention import RetentionClass, RetentionFloor
from .samples import RollupMark, Sample

__all__ = [
    "Agent",
    "AgentKey",
    "ApiToken",
    "Batch",
    "BatchBody",
    "Membership",
    "Meter",
    "Origin",
    "ParkedBatch",
    "Quarantine",
    "Resource",
    "ResourceState",
    "RetentionClass",
    "RetentionFloor",
    "RollupMark",
    "Sample",
    "Series",
]
