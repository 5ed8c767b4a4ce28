"""What is stored of alarms: definitions with their state, when each is due, what happened, and what has to be told to whom."""

from __future__ import annotations

from uuid import uuid4

from django.db import models
from django.db.models.functions import MD5
from django.utils import timezone

__all__ = [
    "Alarm",
    "AlarmChange",
    "AlarmQuota",
    "Attempt",
    "Delivery",
    "DeliveryState",
    "DisabledAction",
    "EventCursor",
    "Schedule",
    "Severity",
    "Silence",
    "WebhookSecret",
]


class Severity(models.IntegerChoices):
    """In the order of their weight: they sort by it."""

    LOW = 1, "low"
    MODERATE = 2, "moderate"
    CRITICAL = 3, "critical"


class Alarm(models.Model):
    """A definition, and the state that it is in.

    ``version`` grows with each change of the definition: an evaluation of an older one changes nothing. ``rule`` is what stands under
    ``<type>_rule``. ``actions``: URLs by state. ``memory`` is the evaluator's.
    """

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    name = models.CharField(max_length=255)
    description = models.TextField(blank=True)
    type = models.CharField(max_length=64)
    rule = models.JSONField()
    enabled = models.BooleanField(default=True)
    severity = models.SmallIntegerField(choices=Severity, default=Severity.LOW)
    project_id = models.CharField(max_length=255)
    user_id = models.CharField(max_length=255)
    actions = models.JSONField(default=dict)
    repeat_actions = models.BooleanField(default=False)
    time_constraints = models.JSONField(default=list)
    version = models.IntegerField(default=1)
    changed_at = models.DateTimeField(default=timezone.now)
    state = models.CharField(max_length=32, default="insufficient data")
    state_reason = models.TextField(default="Not evaluated yet")
    state_at = models.DateTimeField(default=timezone.now)
    memory = models.JSONField(default=dict)

    class Meta:
        ordering = ["-changed_at", "id"]
        indexes = [models.Index(fields=["project_id", "changed_at"]), models.Index(fields=["type", "enabled"])]

    def __str__(self) -> str:
        return self.name


class Schedule(models.Model):
    """When an alarm is evaluated next, and who is at it until when. Of its own, so that claims and edits do not wait for one another."""

    alarm = models.OneToOneField(Alarm, on_delete=models.CASCADE, primary_key=True, related_name="schedule")
    due_at = models.DateTimeField(db_index=True)
    claimed_until = models.DateTimeField(null=True)
    evaluated_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.alarm_id} at {self.due_at}"


class AlarmChange(models.Model):
    """A row of an alarm's history; it outlives the alarm. ``on_behalf_of`` is the project that may see it."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    alarm_id = models.UUIDField(db_index=True)
    type = models.CharField(max_length=32)
    detail = models.JSONField()
    user_id = models.CharField(max_length=255, null=True)
    project_id = models.CharField(max_length=255, null=True)
    on_behalf_of = models.CharField(max_length=255)
    severity = models.SmallIntegerField(choices=Severity, null=True)
    recorded_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-recorded_at", "id"]
        indexes = [models.Index(fields=["on_behalf_of", "recorded_at"])]

    def __str__(self) -> str:
        return f"{self.type} of {self.alarm_id}"


class DeliveryState(models.TextChoices):
    WAITING = "waiting", "waiting for its next attempt"
    LEASED = "leased", "with a notifier"
    DELIVERED = "delivered", "delivered"
    FAILED = "failed", "given up"
    SILENCED = "silenced", "silenced"


class Delivery(models.Model):
    """One message to one action of an alarm. Those of one alarm and URL are told in the order of ``number``, one after the other.

    ``body`` is what is sent, byte for byte (ASCII); ``id`` is the webhook id by which a receiver can tell a repetition. ``receiver`` is the
    URL's scheme and host: what a slow one may hold up is bounded by it. Open as long as ``ended_at`` is empty.
    """

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    number = models.BigIntegerField()
    alarm_id = models.UUIDField()
    project_id = models.CharField(max_length=255)
    change = models.ForeignKey(AlarmChange, on_delete=models.CASCADE, null=True, related_name="deliveries")
    url = models.TextField()
    receiver = models.CharField(max_length=300)
    body = models.TextField()
    state = models.CharField(max_length=16, choices=DeliveryState, default=DeliveryState.WAITING)
    attempt_count = models.IntegerField(default=0, help_text="Attempts handed to a notifier.")
    failure_count = models.IntegerField(
        default=0, help_text="Attempts reported as failed: the pause before the next follows from it."
    )
    lost_count = models.IntegerField(default=0, help_text="Attempts since the last report that nobody reported on.")
    due_at = models.DateTimeField()
    leased_until = models.DateTimeField(null=True)
    give_up_at = models.DateTimeField(help_text="A failure after this is the last one.")
    made_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "deliveries"
        ordering = ["-made_at", "-number"]
        indexes = [
            models.Index(fields=["alarm_id", "number"]),
            models.Index(fields=["project_id", "made_at"]),
            models.Index(fields=["due_at"], condition=models.Q(ended_at=None), name="delivery_open_due"),
        ]

    def __str__(self) -> str:
        return f"{self.alarm_id} to {self.url}"


class Attempt(models.Model):
    """One try of a delivery, and what came of it. ``token`` is what a report on it has to know: it stands in nothing but the attempt."""

    delivery = models.ForeignKey(Delivery, on_delete=models.CASCADE, related_name="attempts")
    number = models.IntegerField()
    token = models.CharField(max_length=64, editable=False)
    begun_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, help_text="Empty where nobody has reported.")
    status = models.IntegerField(null=True, help_text="Of HTTP; empty where there was no answer.")
    duration_ms = models.IntegerField(null=True)
    outcome = models.TextField(blank=True, help_text="What came of it, in words.")

    class Meta:
        ordering = ["delivery", "number"]
        constraints = [models.UniqueConstraint(fields=["delivery", "number"], name="attempt_number_unique")]

    def __str__(self) -> str:
        return f"attempt {self.number} of {self.delivery_id}"


class DisabledAction(models.Model):
    """A URL that said it is gone (410): the alarm tells it nothing more until somebody enables it again."""

    alarm_id = models.UUIDField()
    url = models.TextField()
    reason = models.TextField()
    disabled_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            # A URL may be longer than an index takes.
            models.UniqueConstraint(models.F("alarm_id"), MD5("url"), name="disabled_action_unique")
        ]

    def __str__(self) -> str:
        return f"{self.alarm_id}: {self.url}"


class WebhookSecret(models.Model):
    """What a project's receivers verify HMAC signatures with (``whsec_…``). Made on first use."""

    project_id = models.CharField(max_length=255, primary_key=True)
    secret = models.CharField(max_length=255, editable=False)
    made_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return self.project_id


class Silence(models.Model):
    """For a time, a project's alarms that fit tell nobody: what would have been sent is recorded, not lost.

    Every condition that is given must hold; ``name`` may have ``*``, ``?`` and ``[…]``.
    """

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    project_id = models.CharField(max_length=255)
    alarm_id = models.UUIDField(null=True, blank=True)
    name = models.CharField(max_length=255, blank=True, help_text="A pattern; empty for any name.")
    severity = models.SmallIntegerField(choices=Severity, null=True, blank=True)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    comment = models.TextField(blank=True)
    user_id = models.CharField(max_length=255)
    made_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-starts_at"]
        indexes = [models.Index(fields=["project_id", "ends_at"])]

    def __str__(self) -> str:
        return f"{self.project_id} until {self.ends_at}"


class AlarmQuota(models.Model):
    """How many alarms a project may have; -1 for any number. Without a row the setting counts."""

    project_id = models.CharField(max_length=255, primary_key=True)
    limit = models.IntegerField()

    def __str__(self) -> str:
        return f"{self.project_id}: {self.limit}"


class EventCursor(models.Model):
    """How far event alarms have read the stored events. One row."""

    id = models.SmallIntegerField(primary_key=True, default=1)
    position = models.JSONField(default=dict)

    def __str__(self) -> str:
        return str(self.position)
