"""All addresses: each room's own, below one root."""

from __future__ import annotations

from django.urls import include, path
from django.views.i18n import JavaScriptCatalog

from dashboard.accounts.decorators import public
from dashboard.api.views import metrics

urlpatterns = [
    path("accounts/", include("dashboard.accounts.signin_urls")),
    path("jsi18n/", public(JavaScriptCatalog.as_view()), name="jsi18n"),
    path("", include("dashboard.start.urls")),
    path("", include("dashboard.accounts.urls")),
    path("", include("dashboard.jobs.urls")),
    path("", include("dashboard.jobs.audit_urls")),
    path("", include("dashboard.hosts.urls")),
    path("", include("dashboard.storage.urls")),
    path("", include("dashboard.networks.urls")),
    path("", include("dashboard.consoles.urls")),
    path("api/", include("dashboard.api.urls")),
    path("", include("dashboard.upkeep.urls")),
    path("metrics", metrics, name="metrics"),
    path("", include("dashboard.guests.urls")),
]

handler500 = "dashboard.upkeep.readonly.failed"
