"""Agents and their keys: enrolling, revoking, and whether everything they sent has arrived."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import DateTimeField, Model, OuterRef, QuerySet, Subquery, Sum
from django.db.models.expressions import RawSQL
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from metering.messages import PublicKey, batch_id_at
from metering.models import Agent, AgentKey, Batch

from .base import OperatorAdmin
from .streams import recent_streams

__all__ = ["AgentAdmin", "AgentKeyAdmin"]

# The ledger is looked at this far back: its partitions before that are not read.
LOOK_BACK = timedelta(days=7)
# Gaps within each stream of an agent, added up; reads the ledger's index (key_id, stream, sequence) of the last partitions.
_MISSING = """
(SELECT coalesce(sum(missing), 0) FROM (
    SELECT max(b.sequence) - min(b.sequence) + 1 - count(DISTINCT b.sequence) AS missing
    FROM metering_batch b JOIN metering_agentkey k ON k.id = b.key_id
    WHERE k.agent_id = metering_agent.id AND b.id >= %s
    GROUP BY b.key_id, b.stream
) streams)"""


class KeyForm(forms.ModelForm):
    """A key is entered as the PEM text that the node keeps beside its private half."""

    pem = forms.CharField(
        label="Public key",
        widget=forms.Textarea(attrs={"rows": 4, "cols": 70, "spellcheck": "false"}),
        help_text="The content of the node's key.pub: -----BEGIN PUBLIC KEY----- …",
    )

    class Meta:
        model = AgentKey
        fields = ("valid_from", "valid_until", "allowed_sources", "allowed_projects")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            pem = self.fields["pem"]
            pem.initial, pem.disabled, pem.help_text = PublicKey(bytes(self.instance.public_key)).pem(), True, ""

    def clean_pem(self) -> PublicKey | None:
        if self.instance.pk:
            return None
        try:
            key = PublicKey.from_pem(self.cleaned_data["pem"])
        except ValueError as error:
            raise forms.ValidationError(str(error)) from error
        enrolled = AgentKey.objects.filter(key_id=key.id).select_related("agent").first()
        if enrolled:
            raise forms.ValidationError(f"Key {key.id} is enrolled already, for agent {enrolled.agent.name}.")
        return key

    def save(self, commit: bool = True) -> AgentKey:
        key: PublicKey | None = self.cleaned_data.get("pem")
        if key is not None:
            self.instance.key_id, self.instance.public_key = key.id, key.raw
        return super().save(commit)


class KeyInline(admin.StackedInline):
    model = AgentKey
    form = KeyForm
    extra = 0
    fields = (
        "pem",
        "key_id",
        "valid_from",
        "valid_until",
        "revoked_at",
        "allowed_sources",
        "allowed_projects",
        "duplicate_count",
    )
    readonly_fields = ("key_id", "revoked_at", "duplicate_count")
    can_delete = False

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return bool(request.user.is_staff)

    has_add_permission = has_change_permission = has_view_permission

    def get_min_num(self, request: HttpRequest, obj: Agent | None = None, **kwargs: Any) -> int:
        # A new agent without a key could send nothing.
        return 0 if obj else 1


@admin.register(Agent)
class AgentAdmin(OperatorAdmin):
    list_display = ("name", "description", "last_seen", "missing", "duplicates", "valid_keys")
    search_fields = ("name__exact",)
    search_help_text = "An agent's exact name. Missing and last seen are of the last 7 days."
    readonly_fields = ("enrolled_at", "streams")
    inlines = (KeyInline,)
    actions = ("revoke_keys",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Agent]:
        floor = batch_id_at(int((timezone.now() - LOOK_BACK).timestamp() * 1_000_000))
        recent = Batch.objects.filter(key__agent=OuterRef("pk"), id__gte=floor).order_by("-id")
        keys = AgentKey.objects.filter(agent=OuterRef("pk")).order_by()
        return (
            super()
            .get_queryset(request)
            .annotate(
                seen_at=Subquery(recent.values("recorded_at")[:1], output_field=DateTimeField()),
                missing_count=RawSQL(_MISSING, [floor]),
                duplicate_total=Subquery(
                    keys.values("agent").annotate(total=Sum("duplicate_count")).values("total")[:1]
                ),
            )
            .prefetch_related("keys")
        )

    def get_fields(self, request: HttpRequest, obj: Agent | None = None) -> tuple[str, ...]:
        return ("name", "description", *self.readonly_fields) if obj else ("name", "description")

    def get_readonly_fields(self, request: HttpRequest, obj: Agent | None = None) -> tuple[str, ...]:
        # The name stands in signed headers: it cannot change any more.
        return (*self.readonly_fields, "name") if obj else self.readonly_fields

    @admin.display(description="last seen", ordering="seen_at")
    def last_seen(self, agent: Any) -> datetime | str:
        return agent.seen_at or "not in 7 days"

    @admin.display(description="missing batches", ordering="missing_count")
    def missing(self, agent: Any) -> SafeString | str:
        if not agent.missing_count:
            return "0"
        return format_html('<b style="color: var(--error-fg)">{}</b>', agent.missing_count)

    @admin.display(description="received again", ordering="duplicate_total")
    def duplicates(self, agent: Any) -> int:
        return agent.duplicate_total or 0

    @admin.display(description="keys that count")
    def valid_keys(self, agent: Agent) -> int:
        now = timezone.now()
        return sum(not key.refusal_at(now) for key in agent.keys.all())

    @admin.display(description="streams of the last 7 days")
    def streams(self, agent: Agent) -> SafeString | str:
        """Each stream's sequence numbers, and the gaps in them."""
        rows = recent_streams(agent.pk, since=timezone.now() - LOOK_BACK)
        if not rows:
            return "none"
        head = format_html_join(
            "", "<th>{}</th>", ((name,) for name in ("stream", "numbers", "received", "gaps", "last"))
        )
        body = format_html_join(
            "",
            "<tr><td>{}</td><td>{} – {}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            (
                (
                    row.stream,
                    row.first_sequence,
                    row.last_sequence,
                    row.received_count,
                    row.gaps or "none",
                    f"{row.last_at:%Y-%m-%d %H:%M:%S}",
                )
                for row in rows
            ),
        )
        return format_html("<table><thead><tr>{}</tr></thead><tbody>{}</tbody></table>", head, body)

    @admin.action(description="Revoke all keys of the selected agents")
    def revoke_keys(self, request: HttpRequest, agents: QuerySet[Agent]) -> None:
        _revoke(self, request, AgentKey.objects.filter(agent__in=agents.values("pk")))


@admin.register(AgentKey)
class AgentKeyAdmin(OperatorAdmin):
    form = KeyForm
    list_display = ("key_id", "agent", "state", "valid_from", "valid_until", "duplicate_count")
    list_select_related = ("agent",)
    search_fields = ("key_id__exact", "agent__name__exact")
    search_help_text = "An exact key id, or an agent's exact name."
    readonly_fields = (
        "key_id",
        "revoked_at",
        "duplicate_count",
    )
    actions = ("revoke",)

    def get_fields(self, request: HttpRequest, obj: AgentKey | None = None) -> tuple[str, ...]:
        if obj is None:
            return ("agent", "pem", "valid_from", "valid_until", "allowed_sources", "allowed_projects")
        return ("agent", "key_id", "pem", "valid_from", "valid_until", "revoked_at", "allowed_sources",
                "allowed_projects", "duplicate_count")  # fmt: skip

    def get_form(self, request: HttpRequest, obj: AgentKey | None = None, change: bool = False, **kwargs: Any) -> Any:
        # The PEM text is a field of the form, not of the model.
        wanted = [name for name in self.get_fields(request, obj) if name not in {"pem", *self.readonly_fields}]
        return super().get_form(request, obj, change, **{**kwargs, "fields": wanted})

    def get_readonly_fields(self, request: HttpRequest, obj: AgentKey | None = None) -> tuple[str, ...]:
        return (*self.readonly_fields, "agent") if obj else self.readonly_fields

    @admin.display(description="state")
    def state(self, key: AgentKey) -> str:
        return key.refusal_at(timezone.now()).removeprefix(f"key {key.key_id} ") or "counts"

    @admin.action(description="Revoke the selected keys")
    def revoke(self, request: HttpRequest, keys: QuerySet[AgentKey]) -> None:
        _revoke(self, request, AgentKey.objects.filter(pk__in=keys.values("pk")))


def _revoke(page: OperatorAdmin, request: HttpRequest, keys: QuerySet[AgentKey]) -> None:
    count = keys.filter(revoked_at=None).update(revoked_at=timezone.now())
    page.message_user(
        request,
        f"{count} keys revoked: from now on, batches signed by them go to quarantine.",
        messages.SUCCESS if count else messages.WARNING,
    )
