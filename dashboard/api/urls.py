"""Addresses of the API: /api/v1/, described in /api/v1/openapi.json."""

from __future__ import annotations

from django.urls import path
from ninja.security import SessionAuth

from dashboard.api import problems
from dashboard.api.changes import jobs_router, operations_router
from dashboard.api.reads import router as reads

api = problems.DescribedAPI(
    title="kvmweb",
    version="1",
    description="Everything that the pages do. Changes answer 202 with a job; errors are problem+json.",
    auth=SessionAuth(),
    docs_url=None,
)
problems.install(api)
api.add_router("", reads)
api.add_router("", operations_router())
api.add_router("", jobs_router)

urlpatterns = [path("v1/", api.urls)]
