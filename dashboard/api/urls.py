"""Addresses of the API: /api/v1/, described in /api/v1/openapi.json."""

from __future__ import annotations

from django.urls import path, re_path

from dashboard.api import problems
from dashboard.api.changes import jobs_router, operations_router
from dashboard.api.events import router as events
from dashboard.api.face import Face, Session, StrictParser, Token
from dashboard.api.many import many_router
from dashboard.api.reads import router as reads
from dashboard.api.reads_jobs import router as reads_jobs
from dashboard.api.views import docs, nowhere

api = Face(
    title="kvmweb",
    version="1",
    description="Everything that the pages do. Changes answer 202 with a job; errors are problem+json.",
    auth=[Token(), Session()],
    parser=StrictParser(),
    docs_url=None,
)
problems.install(api)
for router in (reads, reads_jobs, events, many_router(), operations_router(), jobs_router):
    api.add_router("", router)

urlpatterns = [
    path("v1/docs", docs, name="api-docs"),
    path("v1/", api.urls),
    # No page of errors is made for scripts.
    re_path(r"^(?P<anything>[\s\S]*)$", nowhere),
]
