"""Pages of networks: the libvirt networks of all hosts."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from dashboard.accounts.decorators import need
from dashboard.inventory.models import Network


@need("network.view")
def network_list(request: HttpRequest) -> HttpResponse:
    """All networks of all hosts."""
    networks = Network.objects.select_related("host").order_by("host__name", "name")
    return render(request, "networks/list.html", {"networks": networks})
