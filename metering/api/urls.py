"""Every path of the API. A trailing slash is accepted everywhere."""

from __future__ import annotations

from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path, re_path

from metering.login import LoginForm

from .forms import ask
from .health import alive, ready
from .schema_views import SchemaDocument, show_schema
from .v2.capabilities import Capabilities
from .v2.events import EventDetail, EventList, EventTypeList, TraitKindList, TraitList
from .v2.meters import MeterDetail, MeterList, MeterStatistics
from .v2.queries import SampleQuery
from .v2.resources import ResourceDetail, ResourceList
from .v2.samples import SampleDetail, SampleList
from .versions import NoSuchPath, Versions

__all__ = ["urlpatterns"]

urlpatterns = [
    path("", Versions.as_view(), name="versions"),
    path("healthz", alive, name="healthz"),
    path("readyz", ready, name="readyz"),
    path(
        "login/",
        LoginView.as_view(form_class=LoginForm, template_name="metering/api/login.html", next_page="/"),
        name="login",
    ),
    path("logout/", LogoutView.as_view(next_page="/"), name="logout"),
    path("ask/", ask, name="ask"),
    re_path(r"^schema/?$", SchemaDocument.as_view(), name="schema"),
    path("schema/ui/", show_schema, name="schema-ui"),
    re_path(r"^v2/meters/?$", MeterList.as_view(), name="meters"),
    re_path(r"^v2/meters/(?P<meter>[^/]+)/?$", MeterDetail.as_view(), name="meter"),
    re_path(r"^v2/meters/(?P<meter>[^/]+)/statistics/?$", MeterStatistics.as_view(), name="statistics"),
    re_path(r"^v2/resources/?$", ResourceList.as_view(), name="resources"),
    # An id may hold slashes: clients send them as they are, or escaped once or twice.
    re_path(r"^v2/resources/(?P<resource_id>.+?)/?$", ResourceDetail.as_view(), name="resource"),
    re_path(r"^v2/samples/?$", SampleList.as_view(), name="samples"),
    re_path(r"^v2/samples/(?P<sample_id>[^/]+)/?$", SampleDetail.as_view(), name="sample"),
    re_path(r"^v2/query/samples/?$", SampleQuery.as_view(), name="query-samples"),
    re_path(r"^v2/capabilities/?$", Capabilities.as_view(), name="capabilities"),
    re_path(r"^v2/events/?$", EventList.as_view(), name="events"),
    re_path(r"^v2/events/(?P<message_id>[^/]+)/?$", EventDetail.as_view(), name="event"),
    re_path(r"^v2/event_types/?$", EventTypeList.as_view(), name="event-types"),
    re_path(r"^v2/event_types/(?P<event_type>[^/]+)/traits/?$", TraitKindList.as_view(), name="trait-kinds"),
    re_path(r"^v2/event_types/(?P<event_type>[^/]+)/traits/(?P<trait>[^/]+)/?$", TraitList.as_view(), name="traits"),
    re_path(r"^v[0-9]+(/.*)?$", NoSuchPath.as_view(), name="no-such-path"),
]
