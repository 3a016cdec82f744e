"""What somebody may do to one guest, and why."""

from __future__ import annotations

import uuid as uuids
from typing import cast

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from dashboard.accounts.decorators import need
from dashboard.accounts.models import User
from dashboard.accounts.whose import explained
from dashboard.guests import detail
from dashboard.guests.views import one_guest


@need("guest.view")
@require_GET
def rights(request: HttpRequest, uuid: uuids.UUID) -> HttpResponse:
    """Each permission on this guest, yes or no, and by which grant; who manages people may ask about others."""
    guest = one_guest(request, uuid)
    context = detail.frame(cast("User", request.user), guest, "rights")
    return render(request, "guests/rights.html", {**context, **explained(request, guest), "host_key": guest.host_id})
