"""The operators' pages of alarms: what is defined and in which state, what happened, what was told, and whether evaluators keep up.

``pictures`` reads what an alarm's page draws → ``charts`` makes SVG of it.
"""

from .alarms import AlarmAdmin
from .deliveries import DeliveryAdmin, DisabledActionAdmin
from .history import AlarmChangeAdmin
from .limits import AlarmQuotaAdmin, SilenceAdmin

__all__ = [
    "AlarmAdmin",
    "AlarmChangeAdmin",
    "AlarmQuotaAdmin",
    "DeliveryAdmin",
    "DisabledActionAdmin",
    "SilenceAdmin",
]
