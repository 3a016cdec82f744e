"""Pages of hosts: list, one host with its checks, adding, approving a key, removing."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST

from dashboard.accounts.access import can, on_hosts_where
from dashboard.accounts.adapter import client_ip
from dashboard.accounts.decorators import Missing, need
from dashboard.accounts.models import User
from dashboard.accounts.recent import recently_signed_in
from dashboard.accounts.whose import explained
from dashboard.hosts import enrol, queries
from dashboard.hosts.checks import shown
from dashboard.hosts.forms import HostForm
from dashboard.inventory.models import Host
from dashboard.jobs.models import Job
from dashboard.jobs.service import submit

SHOWN_GUESTS = 50


def _user(request: HttpRequest) -> User:
    return cast("User", request.user)


@need("host.view")
def host_list(request: HttpRequest) -> HttpResponse:
    """All hosts with state, size, and what their guests were promised."""
    hosts = [{"host": host, "capacity": queries.capacity(host)} for host in queries.hosts_with_counts(_user(request))]
    return render(request, "hosts/list.html", {"hosts": hosts})


@need("host.view")
def host_detail(request: HttpRequest, pk: int) -> HttpResponse:
    """One host: what it is, what it has and promised, guests, pools, networks, its last check."""
    host = get_object_or_404(queries.hosts_with_counts(_user(request)), pk=pk)
    manages = can(request.user, "host.manage", host)
    context = {
        "host": host,
        "capacity": queries.capacity(host),
        "guests": queries.guests_of(_user(request), host)[:SHOWN_GUESTS],
        "pools": host.pools.all() if can(request.user, "storage.view", host) else [],
        "networks": host.networks.all() if can(request.user, "network.view", host) else [],
        "manages": manages,
    }
    return render(request, "hosts/detail.html", context | (_check_context(host) if manages else {}))


def _managed(request: HttpRequest, pk: int) -> Host:
    """The host, for who may manage it; 404 as for one that is not there, but 403 for who may see it."""
    host = get_object_or_404(Host, on_hosts_where(_user(request), "host.view", "pk"), pk=pk)
    if not can(request.user, "host.manage", host):
        raise Missing("host.manage")
    return host


@need("host.view")
def host_rights(request: HttpRequest, pk: int) -> HttpResponse:
    """Each permission on this host, yes or no, and by which grant."""
    host = get_object_or_404(Host, on_hosts_where(_user(request), "host.view", "pk"), pk=pk)
    return render(request, "hosts/rights.html", {"host": host, **explained(request, host)})


@need("host.manage")
@recently_signed_in
@sensitive_post_parameters("password", "private_key", "client_key")
def host_add(request: HttpRequest) -> HttpResponse:
    """Add a host and start its check. A host that is not there yet belongs to nobody's grant: it needs the right on everything."""
    if not can(request.user, "host.manage"):
        raise Missing("host.manage")
    form = HostForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        host = enrol.add_host(actor=request.user, data=form.cleaned_data, source_ip=client_ip(request))  # type: ignore[arg-type]
        _start_check(request, host)
        return redirect("hosts:detail", pk=host.pk)
    return render(request, "hosts/add.html", {"form": form}, status=422 if form.errors else 200)


@need("host.manage")
@require_POST
def host_approve_key(request: HttpRequest, pk: int) -> HttpResponse:
    """Pin the host keys that the last check showed and the person has compared."""
    host = _managed(request, pk)
    check = _last_check(host)
    seen = {key["fingerprint"]: key["line"] for key in (check.result.get("host_keys", []) if check else [])}
    approved = [seen[fingerprint] for fingerprint in request.POST.getlist("fingerprint") if fingerprint in seen]
    if not approved:
        messages.error(request, _("These are not the keys of the last check: check again and compare them."))
        return redirect("hosts:detail", pk=pk)
    enrol.approve_host_keys(actor=request.user, host=host, lines=approved, source_ip=client_ip(request))  # type: ignore[arg-type]
    _start_check(request, host)
    return redirect("hosts:detail", pk=pk)


@need("host.manage")
@require_POST
def host_remove(request: HttpRequest, pk: int) -> HttpResponse:
    """Forget a host; the machine itself and its guests stay as they are."""
    host = _managed(request, pk)
    if request.POST.get("name", "").strip() != host.name:
        messages.error(request, _("Type the host's name to remove it."))
        return redirect("hosts:detail", pk=pk)
    enrol.remove_host(actor=request.user, host=host, source_ip=client_ip(request))  # type: ignore[arg-type]
    messages.success(request, _("%(name)s was removed from here. Its guests run on.") % {"name": host.name})
    return redirect("hosts:list")


def _start_check(request: HttpRequest, host: Host) -> None:
    submit(user=request.user, operation="host.check", target=host, params={}, source_ip=client_ip(request))  # type: ignore[arg-type]


def _check_context(host: Host) -> dict[str, Any]:
    check = _last_check(host)
    result = check.result if check else {}
    return {
        "check": check,
        "checks": shown(_still_so(host, result.get("checks", []))),
        "host_keys": result.get("host_keys", []) if check and check.error_code == "host_key" else [],
        "public_key": enrol.public_key(host),
    }


def _still_so(host: Host, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without the warnings about a default pool or network that has been made since the check."""
    made = {
        "pool": host.pools.filter(name="default").exists(),
        "network": host.networks.filter(name="default").exists(),
    }
    return [row for row in rows if row["state"] != "warn" or not made.get(row["name"])]


def _last_check(host: Host) -> Job | None:
    return Job.objects.filter(operation="host.check", object_key=str(host.pk)).order_by("-created_at").first()
