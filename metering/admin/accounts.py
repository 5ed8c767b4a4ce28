"""Users, their roles in projects, and their API tokens."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth import get_user_model
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import AbstractUser
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from metering.models import ApiToken, Membership, TokenScope

from .base import OperatorAdmin

__all__ = ["ApiTokenAdmin", "UserAdmin"]

User = get_user_model()
admin.site.unregister(User)


class MembershipInline(admin.TabularInline):
    model = Membership
    extra = 1
    verbose_name = "project"
    verbose_name_plural = "projects that this user sees"


class TokenColumns:
    """What a token is good for, in words."""

    @admin.display(description="may")
    def may(self, token: ApiToken) -> str:
        return "all" if set(token.scopes) >= set(TokenScope.values) else ", ".join(token.scopes) or "nothing"

    @admin.display(description="projects")
    def only_projects(self, token: ApiToken) -> str:
        return ", ".join(token.projects) or "all of the user's"

    @admin.display(description="state")
    def state(self, token: ApiToken) -> str:
        if token.revoked_at is not None:
            return f"revoked {token.revoked_at:%Y-%m-%d %H:%M}"
        return "expired" if token.is_expired(timezone.now()) else "valid"


class TokenInline(TokenColumns, admin.TabularInline):
    """What tokens there are; a new one comes from the action on the list of users, an old one is revoked in the list of tokens."""

    model = ApiToken
    extra = 0
    fields = readonly_fields = ("hint", "may", "only_projects", "created_at", "expires_at", "last_used_at", "state")
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
        names = [f"{membership.project_id} ({membership.role})" for membership in user.memberships.all()]
        return "all" if user.is_staff else ", ".join(names[:5]) + (" …" if len(names) > 5 else "") or "none"

    @admin.action(description="Issue an API token to each selected user")
    def issue_tokens(self, request: HttpRequest, users: QuerySet[AbstractUser]) -> None:
        for user in users:
            _show_token(self, request, user, ApiToken.issue(user))


class TokenForm(forms.ModelForm):
    scopes = forms.MultipleChoiceField(
        label="It may",
        choices=TokenScope.choices,
        initial=TokenScope.values,
        widget=forms.CheckboxSelectMultiple,
        help_text="Never more than its user may.",
    )

    class Meta:
        model = ApiToken
        fields = ("user", "scopes", "projects", "expires_at")

    def clean_expires_at(self) -> Any:
        expires_at = self.cleaned_data["expires_at"]
        if expires_at is not None and expires_at <= timezone.now():
            raise forms.ValidationError("That is over: the token would never be valid.")
        return expires_at


@admin.register(ApiToken)
class ApiTokenAdmin(TokenColumns, OperatorAdmin):
    """A token is what it was issued as: it can be revoked, not changed."""

    form = TokenForm
    list_display = ("hint", "user", "may", "only_projects", "created_at", "expires_at", "last_used_at", "state")
    list_select_related = ("user",)
    search_fields = ("user__username__exact", "hint__exact")
    search_help_text = "A user's exact name, or the first eight characters of a token."
    actions = ("revoke",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        # A token of any user stands for that user: only who may change users issues them.
        return request.user.has_perm("auth.change_user")

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def get_fields(self, request: HttpRequest, obj: ApiToken | None = None) -> tuple[str, ...]:
        if obj is None:
            return ("user", "scopes", "projects", "expires_at")
        return ("user", "hint", "may", "only_projects", "created_at", "expires_at", "last_used_at", "state")

    def get_readonly_fields(self, request: HttpRequest, obj: ApiToken | None = None) -> tuple[str, ...]:
        return self.get_fields(request, obj) if obj else ()

    def save_model(self, request: HttpRequest, obj: ApiToken, form: forms.ModelForm, change: bool) -> None:
        token = ApiToken.issue(obj.user, scopes=obj.scopes, projects=obj.projects, expires_at=obj.expires_at)
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
