"""Who may ask: users, their roles in projects, their API tokens, and how often each has asked."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from datetime import datetime

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils import timezone

__all__ = ["ApiToken", "Membership", "RequestCount", "Role", "TokenScope"]


class Role(models.TextChoices):
    """What a user may do in a project."""

    READER = "reader", "reader: sees the project's data"
    MEMBER = "member", "member: also posts samples"


class TokenScope(models.TextChoices):
    """What a token may be used for; never more than its user may."""

    READ = "read", "read everything that the user sees"
    SAMPLES = "samples", "post samples"
    ALARMS = "alarms", "make and change alarms"


def all_scopes() -> list[str]:
    return list(TokenScope.values)


class Membership(models.Model):
    """A user's role in a project. Operators (``is_staff``) see all, may post for all, and need none."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships")
    project_id = models.CharField(max_length=255)
    role = models.CharField(max_length=16, choices=Role, default=Role.MEMBER)

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["user", "project_id"], name="membership_user_project_unique")]

    def __str__(self) -> str:
        return f"{self.user}, {self.role} in {self.project_id}"


class ApiToken(models.Model):
    """A secret that stands for a user. Only its SHA-256 is kept: the token itself is shown once."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_tokens")
    digest = models.CharField(max_length=64, unique=True, editable=False)
    hint = models.CharField(max_length=8, editable=False, help_text="How the token begins.")
    scopes = ArrayField(
        models.CharField(max_length=16, choices=TokenScope), default=all_scopes, help_text="What it may be used for."
    )
    projects = ArrayField(
        models.CharField(max_length=255),
        default=list,
        blank=True,
        help_text="Only these of the user's projects, with commas; empty: all that the user sees.",
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True, help_text="In UTC; empty: when it is revoked.")
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, editable=False, help_text="To the minute.")

    class Meta:
        verbose_name = "API token"
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.hint}… of {self.user}"

    @staticmethod
    def digest_of(token: str) -> str:
        return hashlib.sha256(token.encode()).hexdigest()

    @classmethod
    def issue(
        cls,
        user: models.Model,
        *,
        scopes: Sequence[str] = tuple(TokenScope.values),
        projects: Sequence[str] = (),
        expires_at: datetime | None = None,
    ) -> str:
        """Make a token for the user and return it; it cannot be read again. ``projects``: none means all of the user's."""
        token = secrets.token_urlsafe(32)
        cls.objects.create(
            user=user,
            digest=cls.digest_of(token),
            hint=token[:8],
            scopes=list(scopes),
            projects=list(projects),
            expires_at=expires_at,
        )
        return token

    def is_expired(self, now: datetime) -> bool:
        return self.expires_at is not None and self.expires_at <= now


class RequestCount(models.Model):
    """How many requests of a minute have been granted to a caller, or failed to come in from an address.

    Unlogged: after a crash of the store it is empty, and counting begins anew.
    """

    key = models.CharField(max_length=64, primary_key=True)
    minute = models.BigIntegerField(db_index=True, help_text="Whole minutes since 1970.")
    granted = models.BigIntegerField()

    def __str__(self) -> str:
        return self.key
