"""What all views share: who asks, in which order a request is checked, what a query may be limited to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, TypeVar
from urllib.parse import quote

from django.conf import settings
from django.utils.cache import patch_vary_headers
from django.utils.functional import cached_property
from rest_framework.exceptions import AuthenticationFailed, MethodNotAllowed
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from metering.models import TokenScope
from metering.queries.errors import QueryError
from metering.queries.filters import SampleFilter, Scope
from metering.queries.simple import build_filter, named_projects

from .arguments import Arguments, parse_arguments
from .authentication import Bearer, SessionAuthentication, TokenAuthentication, check_scope, grant_of
from .callers import Caller, Grant, identify_caller
from .errors import ForeignProject
from .negotiation import AcceptNegotiation
from .operations import Operation, Parameter
from .pages import Page, next_link, read_each, read_marker, write_marker
from .renderers import JsonRenderer, PageRenderer
from .throttling import admit_caller, count_failure

__all__ = ["SINCE_DAY", "SINCE_MONTH", "SINCE_WEEK", "ApiView", "OpenView"]

# For examples: questions about all time take their time where there is much of it.
SINCE_DAY, SINCE_WEEK, SINCE_MONTH = (
    f"q.field=timestamp&q.op=ge&q.value={{{age}}}" for age in ("day", "week", "month")
)

Row = TypeVar("Row")


class ApiView(APIView):
    """A view for callers. Checked in this order, before the view's own method runs: who asks (401), how often (429), method (405),
    Accept (406), arguments (400, 415), the token's scope, and whether the caller has anything to see (403). The method then takes
    the limit, the filter, and data.

    Every query is given ``self.scope``; that is all of tenancy.
    """

    authentication_classes = (TokenAuthentication, SessionAuthentication)
    permission_classes = ()
    renderer_classes = (JsonRenderer, PageRenderer)
    parser_classes = ()
    content_negotiation_class = AcceptNegotiation

    # By method; HEAD and OPTIONS may have what the first may.
    operations: ClassVar[Mapping[str, Operation]] = {}
    # The parts of its path, in their order.
    path_parameters: ClassVar[tuple[Parameter, ...]] = ()
    # What a token needs for methods that are not safe. READ where they only ask: a query may be posted.
    writing_scope: ClassVar[TokenScope] = TokenScope.READ
    title: ClassVar[str] = "Celometer"
    summary: ClassVar[str] = ""
    # Example queries of the page: text and path.
    examples: ClassVar[tuple[tuple[str, str], ...]] = ()

    # Formats are chosen by the Accept header only, never by an ending of the path.
    format_kwarg = None
    caller: Caller | None = None
    arguments: Arguments

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        grant = self.authenticate(request)
        # Answered, though not listed: HEAD with GET, as HTTP has it, and OPTIONS.
        if request.method not in {*self.allowed_methods, "HEAD", "OPTIONS"}:
            raise MethodNotAllowed(str(request.method))
        request.accepted_renderer, request.accepted_media_type = self.perform_content_negotiation(request)
        self.arguments = parse_arguments(request._request, known=self.operation.known_arguments)
        self.authorize(request, grant)

    @property
    def operation(self) -> Operation:
        """What the request's method may be asked for."""
        return self.operations.get(str(self.request.method)) or next(iter(self.operations.values()))

    def authenticate(self, request: Request) -> Grant | None:
        """What the caller may do. Raises NotAuthenticated, AuthenticationFailed or TooManyRequests."""
        try:
            grant = grant_of(request)
        except AuthenticationFailed:
            count_failure(request._request)
            raise
        bearer = request.auth
        admit_caller(f"token:{bearer.token_id}" if isinstance(bearer, Bearer) else f"user:{request.user.pk}")
        return grant

    def authorize(self, request: Request, grant: Grant | None) -> None:
        """Set ``caller``. Raises PermissionDenied for a token without the scope, and for a caller who can see nothing."""
        assert grant is not None
        check_scope(request, TokenScope.READ if request.method in SAFE_METHODS else self.writing_scope)
        self.caller = identify_caller(
            request.user.get_username(), grant, chosen=request.META.get("HTTP_X_PROJECT_ID", "")
        )

    def finalize_response(self, request: Request, response: Response, *args: Any, **kwargs: Any) -> Response:
        """No cache may hand one caller's answer to another."""
        response = super().finalize_response(request, response, *args, **kwargs)
        response.headers.setdefault("Cache-Control", "private, no-cache")
        patch_vary_headers(response, ("Authorization", "X-Auth-Token", "X-Project-Id", "Cookie"))
        return response

    @property
    def allowed_methods(self) -> list[str]:
        """The methods that ``Allow`` names: those that clients of version 2 know."""
        return [method for method in super().allowed_methods if method not in {"HEAD", "OPTIONS"}]

    def options(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return Response({"title": self.title, "description": self.summary, "methods": self.allowed_methods})

    @property
    def scope(self) -> Scope:
        """What the caller may see; every query takes it."""
        if self.caller is None:
            raise RuntimeError("a query before the caller was identified")
        return self.caller.scope

    def parse_limit(self, default: int | None = None) -> int:
        """How many entries to answer with. Raises QueryError."""
        return self.check_limit(self.arguments.integer("limit", default or settings.CELOMETER_API_DEFAULT_LIMIT))

    def check_limit(self, limit: int) -> int:
        """The limit itself, if it is one. Raises QueryError."""
        if limit <= 0:
            raise QueryError("Limit must be positive", value=limit)
        if limit > settings.CELOMETER_API_MAX_LIMIT:
            raise QueryError(
                f"Limit must be at most {settings.CELOMETER_API_MAX_LIMIT}. Value: '{limit}'. "
                "To get more, follow the Link header of each answer.",
                value=limit,
            )
        return limit

    def parse_page(self, list_name: str, *readers: Callable[[str], Any], default_limit: int | None = None) -> Page:
        """Which entries to answer with. ``readers`` read the texts of a position's values from a marker. Raises QueryError."""
        limit = self.parse_limit(default_limit)
        return Page(list_name, limit, self.parse_marker(list_name, read_each(*readers)))

    def parse_marker(
        self, list_name: str, read_position: Callable[[Sequence[str | None]], tuple[Any, ...]]
    ) -> tuple[Any, ...] | None:
        """The position that the marker names, None without one. Raises InvalidInput."""
        marker = self.arguments.text("marker", None)
        return None if marker is None else read_marker(marker, list_name=list_name, read_position=read_position)

    def answer_page(
        self,
        page: Page,
        rows: Sequence[Row],
        *,
        shape: Callable[[Row], Any],
        position: Callable[[Row], Sequence[Any]],
    ) -> Response:
        """The entries of a page in their shape, and the link to the next page when more rows were fetched than it has."""
        shown, headers = rows[: page.limit], {}
        if len(rows) > page.limit:
            headers["Link"] = self.next_link(write_marker(page.list_name, position(shown[-1])))
        return Response([shape(row) for row in shown], headers=headers)

    def next_link(self, marker: str) -> str:
        """The header ``Link`` to the page that begins behind the marker."""
        return next_link(
            self.absolute(quote(self.request.path_info)), self.request.META.get("QUERY_STRING", ""), marker
        )

    def parse_filter(self) -> SampleFilter:
        """What the caller asked for, by the fields that the operation declares.

        Raises ForeignProject before it looks at anything else, then QueryError.
        """
        self.check_projects(named_projects(self.arguments.items))
        return build_filter(self.arguments.items, fields=self.operation.fields or frozenset())

    def check_projects(self, projects: Iterable[str]) -> None:
        """Raise ForeignProject for the first that the caller may not ask about."""
        for project in projects:
            if not self.scope.includes(project):
                raise ForeignProject(project, projects=self.scope.projects or ())

    def absolute(self, path: str) -> str:
        """A path of the API as a URL: with the public host, and the prefix that the API is served under."""
        return self._base + path

    @cached_property
    def _base(self) -> str:
        # Django makes a view for each request, and a list of resources has a thousand links.
        prefix = self.request.META.get("SCRIPT_NAME", "").rstrip("/")
        return f"{self.request.scheme}://{self.request.get_host()}{prefix}"


class OpenView(ApiView):
    """A view that anybody may see, without looking at who asks."""

    authentication_classes = ()

    def authenticate(self, request: Request) -> Grant | None:
        return None

    def authorize(self, request: Request, grant: Grant | None) -> None:
        self.caller = None
