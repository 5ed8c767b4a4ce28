"""Events: what happened, told by typed traits. Partitioned by time: see migration 0006.

New rows of the small tables are inserted by ``metering.collector.event_dimensions`` alone.
"""

from __future__ import annotations

from django.db import models

__all__ = ["Event", "EventOwner", "EventRaw", "EventType", "TraitKind"]


class EventType(models.Model):
    """A kind of thing that happens, such as ``compute.instance.create.end``."""

    name = models.CharField(max_length=255, unique=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class TraitKind(models.Model):
    """A trait that events of a type have had. One name may stand with several types of value."""

    event_type = models.ForeignKey(EventType, on_delete=models.PROTECT, related_name="trait_kinds")
    name = models.CharField(max_length=255)
    type = models.CharField(max_length=16)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["event_type", "name", "type"], name="traitkind_event_type_name_type_unique"
            ),
            models.CheckConstraint(
                condition=models.Q(type__in=["string", "integer", "float", "datetime"]), name="traitkind_type_known"
            ),
        ]
        # A comparison with a trait looks only at events of types that have it.
        indexes = [models.Index(fields=["name", "type"], name="traitkind_by_name")]

    def __str__(self) -> str:
        return f"{self.name} ({self.type})"


class EventOwner(models.Model):
    """Whose events are: what their text traits ``project_id`` and ``user_id`` say."""

    project_id = models.CharField(max_length=255, null=True)
    user_id = models.CharField(max_length=255, null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project_id", "user_id"], nulls_distinct=False, name="eventowner_project_user_unique"
            )
        ]

    def __str__(self) -> str:
        return f"{self.user_id or 'nobody'} in {self.project_id or 'no project'}"


class Event(models.Model):
    """One event, as it was signed. Rows are never changed.

    ``id`` is the batch's with the event's position in its low 20 bits; ``message_id`` is the notification's own. The table's key is
    (message_id, source, generated_at): a message that comes again makes no second row, in whatever batch it comes.

    ``traits`` is ``[{name: {type: value}}, …]`` in the order of the event. Values compare as their type does: strings as text, integers and
    floats as exact numbers, datetimes as whole µs since 1970.
    """

    id = models.UUIDField(primary_key=True)
    generated_at = models.DateTimeField()
    event_type = models.ForeignKey(EventType, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False)
    owner = models.ForeignKey(EventOwner, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False)
    source = models.CharField(max_length=255)
    message_id = models.CharField(max_length=255)
    traits = models.JSONField()

    class Meta:
        managed = False
        db_table = "metering_event"

    def __str__(self) -> str:
        return self.message_id


class EventRaw(models.Model):
    """The payload that an event was made from: JSON text, byte for byte as it was signed. Kept for a time of its own."""

    id = models.UUIDField(primary_key=True)
    generated_at = models.DateTimeField()
    raw = models.TextField()

    class Meta:
        managed = False
        db_table = "metering_eventraw"

    def __str__(self) -> str:
        return str(self.id)
