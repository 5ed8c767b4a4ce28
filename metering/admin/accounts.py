"""Users, the projects that they see, and their API tokens."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.auth import get_user_model
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import AbstractUser
from django.db.models import Model, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest
from django.utils import timezone

from metering.models import ApiToken, Membership

from .base import OperatorAdmin

__all__ = ["ApiTokenAdmin", "UserAdmin"]

User = get_user_model()
admin.site.unregister(User)


class MembershipInline(admin.TabularInline):
    model = Membership
    extra = 1
    verbose_name = "project"
    verbose_name_plural = "projects that this user sees"


class TokenInline(admin.TabularInline):
    """What tokens there are; a new one comes from the action on the list of users, an old one is revoked on its own page."""

    model = ApiToken
    extra = 0
    fields = readonly_fields = ("hint", "created_at", "revoked_at")
    can_delete = False
    show_change_link = True

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


@admin.register(User)
class UserAdmin(DjangoUserAdmin):
    inlines = (MembershipInline, TokenInline)
    list_display = ("username", "projects", "is_staff", "is_active", "last_login")
    actions = ("issue_tokens",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[AbstractUser]:
        return super().get_queryset(request).prefetch_related("memberships")

    def get_inlines(self, request: HttpRequest, obj: Model | None) -> tuple[Any, ...]:
        # A user is made first, with a name and a password.
        return self.inlines if obj else ()

    @admin.display(description="projects")
    def projects(self, user: Any) -> str:
        names = [membership.project_id for membership in user.memberships.all()]
        return "all" if user.is_staff else ", ".join(names[:5]) + (" …" if len(names) > 5 else "") or "none"

    @admin.action(description="Issue an API token to each selected user")
    def issue_tokens(self, request: HttpRequest, users: QuerySet[AbstractUser]) -> None:
        for user in users:
            _show_token(self, request, user, ApiToken.issue(user))


@admin.register(ApiToken)
class ApiTokenAdmin(OperatorAdmin):
    list_display = ("hint", "user", "created_at", "revoked_at")
    list_select_related = ("user",)
    search_fields = ("user__username__exact", "hint__exact")
    search_help_text = "A user's exact name, or the first eight characters of a token."
    readonly_fields = ("hint", "created_at", "revoked_at")
    actions = ("revoke",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        # A token of any user stands for that user: only who may change users issues them.
        return request.user.has_perm("auth.change_user")

    def get_fields(self, request: HttpRequest, obj: ApiToken | None = None) -> tuple[str, ...]:
        return ("user", "hint", "created_at", "revoked_at") if obj else ("user",)

    def get_readonly_fields(self, request: HttpRequest, obj: ApiToken | None = None) -> tuple[str, ...]:
        return (*self.readonly_fields, "user") if obj else self.readonly_fields

    def save_model(self, request: HttpRequest, obj: ApiToken, form: ModelForm, change: bool) -> None:
        if change:
            super().save_model(request, obj, form, change)
            return
        token = ApiToken.issue(obj.user)
        obj.pk = ApiToken.objects.get(digest=ApiToken.digest_of(token)).pk
        obj.refresh_from_db()
        _show_token(self, request, obj.user, token)

    @admin.action(description="Revoke the selected tokens")
    def revoke(self, request: HttpRequest, tokens: QuerySet[ApiToken]) -> None:
        pending = ApiToken.objects.filter(pk__in=tokens.values("pk"), revoked_at=None)
        count = pending.update(revoked_at=timezone.now())
        self.message_user(request, f"{count} tokens revoked.", messages.SUCCESS if count else messages.WARNING)


def _show_token(page: Any, request: HttpRequest, user: Any, token: str) -> None:
    page.message_user(request, f"Token of {user}, shown this once: {token}", messages.SUCCESS)
