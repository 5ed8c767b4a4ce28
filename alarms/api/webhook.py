"""``/v2/alarms/webhook``: what a project's receivers verify signatures with."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from alarms.deliveries.signing import public_key, secret_of
from metering.api.authentication import check_scope
from metering.api.callers import denied
from metering.api.views import ApiView
from metering.models import TokenScope
from metering.queries.errors import InvalidInput, shorten
from metering.queries.values import check_text

from . import contract
from .ownership import own_project

__all__ = ["WebhookKeys"]

_MOST_CHARACTERS = 255


class WebhookKeys(ApiView):
    title = "Webhook keys"
    summary = (
        "What receivers verify the signatures of webhooks with: the project's secret, which whoever has it can sign with, and the "
        "server's public key. For members, with a token that may change alarms."
    )
    operations = {"GET": contract.SHOW_WEBHOOK_KEYS}
    examples = (("All alarms", "/v2/alarms"),)

    def get(self, request: Request) -> Response:
        # Who has the secret can pretend to be us: that is more than to read.
        check_scope(request, TokenScope.ALARMS)
        keys = {"secret": secret_of(self._project()), "public_key": public_key()}
        return Response(keys, headers={"Cache-Control": "private, no-store"})

    def _project(self) -> str:
        """The project that is asked about. Raises PermissionDenied, InvalidInput."""
        assert self.caller is not None
        named = self.arguments.text("project_id", None)
        if named and not self.scope.includes(named):
            raise denied(f"the webhook secret of project {shorten(named)} is not yours to see")
        project = named or own_project(self.caller)
        check_text("project_id", project)
        if len(project) > _MOST_CHARACTERS:
            raise InvalidInput("project_id", project, f"expected at most {_MOST_CHARACTERS} characters")
        if not (self.caller.is_operator or project in self.caller.postable):
            raise denied(
                f"the webhook secret of project {shorten(project)} is for its members, and {self.caller.username} is a reader of it",
                code="role_missing",
            )
        return project
