"""Small pictures of guests' screens for the list: which there are, and each of them."""

from __future__ import annotations

import uuid as uuids
from typing import cast

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotModified, JsonResponse
from django.views.decorators.http import require_GET

from dashboard.accounts.access import can, guests_where
from dashboard.accounts.decorators import need
from dashboard.accounts.models import User
from dashboard.guests import queries
from dashboard.inventory import screens
from dashboard.inventory.models import Guest, Host

MOST = 60
"""Pictures that one page may ask for at once."""
KEPT_SECONDS = 60
ON = ("running", "paused", "stopping", "suspended")


@need("guest.watch")
@require_GET
def shots(request: HttpRequest) -> JsonResponse:
    """The marks of the pictures that a page looks at (`want=3/<uuid>,…`), and word to the monitor to take newer ones."""
    user = cast("User", request.user)
    asked = {pair for text in request.GET.get("want", "").split(",")[:MOST] if (pair := _pair(text))}
    seen = Guest.objects.filter(
        guests_where(user, "guest.watch"), uuid__in={uuid for _host, uuid in asked},
        state__in=ON, host__status=Host.Status.LIVE,
    )  # fmt: skip
    allowed = {(host_id, str(uuid)) for host_id, uuid in seen.values_list("host_id", "uuid")} & asked
    screens.want(allowed)
    answer = JsonResponse({"shots": {f"{host}/{uuid}": mark for (host, uuid), mark in screens.marks(allowed).items()}})
    answer["Cache-Control"] = "no-store"
    return answer


def _pair(text: str) -> tuple[int, str] | None:
    host, _, uuid = text.partition("/")
    try:
        return (int(host), str(uuids.UUID(uuid))) if host.isascii() and host.isdecimal() and len(host) < 16 else None
    except ValueError:
        return None


@need("guest.watch")
@require_GET
def shot(request: HttpRequest, uuid: uuids.UUID) -> HttpResponse:
    """One guest's newest picture."""
    user = cast("User", request.user)
    found = queries.find(user, uuid, request.GET.get("host", ""))
    if len(found) != 1 or not can(user, "guest.watch", found[0]):
        raise Http404
    newest = screens.picture(found[0].host_id, str(uuid))
    if newest is None:
        raise Http404
    mark, picture = newest
    etag = f'"{mark}"'
    same = request.headers.get("If-None-Match") == etag
    answer = HttpResponseNotModified() if same else HttpResponse(picture, content_type="image/webp")
    answer["ETag"] = etag
    answer["Cache-Control"] = f"private, max-age={KEPT_SECONDS}"
    return answer
