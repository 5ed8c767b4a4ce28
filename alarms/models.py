"""What is stored of alarms: definitions with their state, when each is due, what happened, and what has to be told to whom."""

from __future__ import annotations

from uuid import uuid4

from django.db import models
from django.utils import timezone

__all__ = ["Alarm", "AlarmChange", "AlarmQuota", "Attempt", "Delivery", "EventCursor", "Schedule", "Severity"]


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


class Delivery(models.Model):
    """One message to one action of an alarm. Those of one alarm and URL are told in the order of ``number``, one after the other.

    ``body`` is what is sent, byte for byte; ``id`` is the webhook id by which a receiver can tell a repetition.
    """

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    number = models.BigIntegerField()
    alarm_id = models.UUIDField()
    project_id = models.CharField(max_length=255)
    change = models.ForeignKey(AlarmChange, on_delete=models.CASCADE, null=True, related_name="deliveries")
    url = models.TextField()
    body = models.TextField()
    state = models.CharField(max_length=16, choices=DeliveryState, default=DeliveryState.WAITING)
    attempt_count = models.IntegerField(default=0)
    due_at = models.DateTimeField()
    leased_until = models.DateTimeField(null=True)
    made_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "deliveries"
        ordering = ["-made_at", "-number"]
        indexes = [
            models.Index(fields=["alarm_id", "number"]),
            models.Index(fields=["due_at"], condition=models.Q(ended_at=None), name="delivery_open_due"),
        ]

    def __str__(self) -> str:
        return f"{self.alarm_id} to {self.url}"


class Attempt(models.Model):
    """One try of a delivery, and what came of it."""

    delivery = models.ForeignKey(Delivery, on_delete=models.CASCADE, related_name="attempts")
    number = models.IntegerField()
    begun_at = models.DateTimeField()
    status = models.IntegerField(null=True, help_text="Of HTTP; empty where there was no answer.")
    duration_ms = models.IntegerField(null=True)
    outcome = models.TextField(help_text="What came of it, in words.")

    class Meta:
        ordering = ["delivery", "number"]
        constraints = [models.UniqueConstraint(fields=["delivery", "number"], name="attempt_number_unique")]

    def __str__(self) -> str:
        return f"attempt {self.number} of {self.delivery_id}"


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
