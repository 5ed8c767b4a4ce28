"""Who may ask: users, the projects that they see, and their API tokens."""

from __future__ import annotations

import hashlib
import secrets

from django.conf import settings
from django.db import models
from django.utils import timezone

__all__ = ["ApiToken", "Membership"]


class Membership(models.Model):
    """A user sees the data of this project. Operators (``is_staff``) see all and need none."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships")
    project_id = models.CharField(max_length=255)

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["user", "project_id"], name="membership_user_project_unique")]

    def __str__(self) -> str:
        return f"{self.user} in {self.project_id}"


class ApiToken(models.Model):
    """A secret that stands for a user. Only its SHA-256 is kept: the token itself is shown once."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_tokens")
    digest = models.CharField(max_length=64, unique=True, editable=False)
    hint = models.CharField(max_length=8, editable=False, help_text="How the token begins.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "API token"
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.hint}… of {self.user}"

    @staticmethod
    def digest_of(token: str) -> str:
        return hashlib.sha256(token.encode()).hexdigest()

    @classmethod
    def issue(cls, user: models.Model) -> str:
        """Make a token for the user and return it; it cannot be read again."""
        token = secrets.token_urlsafe(32)
        cls.objects.create(user=user, digest=cls.digest_of(token), hint=token[:8])
        return token
