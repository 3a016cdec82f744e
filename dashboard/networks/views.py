"""Pages of networks: the libvirt networks of all hosts."""

from __future__ import annotations

from typing import cast

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from dashboard.accounts.access import on_hosts_where
from dashboard.accounts.decorators import need
from dashboard.accounts.models import User
from dashboard.inventory.models import Network


@need("network.view")
def network_list(request: HttpRequest) -> HttpResponse:
    """The networks of all hosts that one may see."""
    seen = Network.objects.filter(on_hosts_where(cast("User", request.user), "network.view"))
    networks = seen.select_related("host").order_by("host__name", "name")
    return render(request, "networks/list.html", {"networks": networks})
