"""Where each path leads."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    # In front of those of metering, which end with what no path has.
    path("", include("alarms.api.urls")),
    path("", include("metering.api.urls")),
]

handler400 = "metering.api.errors.bad_request"
handler404 = "metering.api.errors.not_found"
handler500 = "metering.api.errors.server_error"
