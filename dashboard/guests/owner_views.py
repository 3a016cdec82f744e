"""Whose quota a guest counts against, as an administrator sets it."""

from __future__ import annotations

import uuid as uuids
from typing import cast

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from dashboard.accounts.adapter import client_ip
from dashboard.accounts.decorators import need
from dashboard.accounts.models import User
from dashboard.guests.disks import disks_of
from dashboard.guests.views import one_guest
from dashboard.inventory.models import Guest
from dashboard.jobs import quotas


@need("people.manage")
@require_POST
def set_owner(request: HttpRequest, uuid: uuids.UUID) -> HttpResponse:
    """Name the owner of a guest; an empty name: nobody."""
    guest = one_guest(request, uuid)
    name = request.POST.get("owner", "").strip()
    owner = User.objects.filter(username__iexact=name).first() if name else None
    if name and owner is None:
        messages.error(
            request, _("There is nobody with the name %(name)s: choose one that is proposed.") % {"name": name}
        )
    else:
        actor = cast("User", request.user)
        quotas.set_owner(
            actor=actor, guest=guest, owner=owner, disk_bytes=disk_sizes(guest), source_ip=client_ip(request)
        )
        messages.success(
            request,
            _("It counts against the quota of %(name)s.") % {"name": owner}
            if owner
            else _("It counts against no quota."),
        )
    return redirect(f"{reverse('guests:detail', args=[guest.uuid])}?host={guest.host_id}")


def disk_sizes(guest: Guest) -> int:
    """The virtual size of all disks of its own, as far as pools know them; media in drives and shared disks left out."""
    own = (disk for disk in disks_of(guest) if disk.device == "disk" and not (disk.readonly or disk.shared))
    return sum(disk.capacity or 0 for disk in own)
