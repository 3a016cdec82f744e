"""The page for those who watch kvmweb from outside."""

from __future__ import annotations

from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe

from dashboard.accounts.decorators import public
from dashboard.inventory import fullness


@public
@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """200 "ok", 200 "read-only" with what is full (no paths: anybody may ask), or 503 when the database is away."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return JsonResponse({"status": "down", "cause": ["database"]}, status=503)
    full = sorted({trouble.what for trouble in fullness.full()})
    return JsonResponse({"status": "read-only", "full": full} if full else {"status": "ok"})
