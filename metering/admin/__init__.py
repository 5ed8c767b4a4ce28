"""The operators' pages: who sends, what came, what was refused, what is stored, who may ask.

Lists are fast on tables of any size: nothing counts samples or batches, searches are for exact ids, names or times.
"""

from django.contrib import admin

from metering.login import AdminLoginForm

from .accounts import ApiTokenAdmin, UserAdmin
from .agents import AgentAdmin, AgentKeyAdmin
from .ledger import BatchAdmin, ParkedBatchAdmin
from .measurements import MeterAdmin, ResourceAdmin, SampleAdmin
from .quarantine import QuarantineAdmin

__all__ = [
    "AgentAdmin",
    "AgentKeyAdmin",
    "ApiTokenAdmin",
    "BatchAdmin",
    "MeterAdmin",
    "ParkedBatchAdmin",
    "QuarantineAdmin",
    "ResourceAdmin",
    "SampleAdmin",
    "UserAdmin",
]

admin.site.site_header = "Celometer"
admin.site.site_title = "Celometer"
admin.site.index_title = "Operation"
admin.site.site_url = "/"
admin.site.login_form = AdminLoginForm
