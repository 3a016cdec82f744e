"""The API's reads: the same queries and rows as the pages."""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext as _
from ninja import Router
from ninja.errors import HttpError

from dashboard.accounts.access import can
from dashboard.accounts.models import User
from dashboard.api import schemas
from dashboard.api.schemas import Problem
from dashboard.guests import queries as guests
from dashboard.inventory import rows
from dashboard.inventory.models import Host, Network, Pool
from dashboard.jobs import queries as jobs
from dashboard.jobs.rows import job_row

PAGE = 50
WRONG = {401: Problem, 403: Problem, 404: Problem, 422: Problem}

router = Router()


def user_of(request: HttpRequest) -> User:
    """The signed-in person; the API is closed to others."""
    return cast("User", request.user)


def need(request: HttpRequest, permission: str) -> None:
    """403 without the permission."""
    if not can(request.user, permission):
        raise PermissionDenied


@router.get("/hosts", response={200: schemas.Hosts, **WRONG}, tags=["hosts"])
def list_hosts(request: HttpRequest) -> Any:
    """All hosts."""
    need(request, "host.view")
    return {"items": [rows.host_row(host) for host in Host.objects.all()]}


@router.get("/hosts/{int:pk}", response={200: schemas.HostOut, **WRONG}, tags=["hosts"])
def get_host(request: HttpRequest, pk: int) -> Any:
    """One host."""
    need(request, "host.view")
    return rows.host_row(get_object_or_404(Host, pk=pk))


@router.get("/guests", response={200: schemas.Guests, **WRONG}, tags=["guests"])
def list_guests(
    request: HttpRequest,
    q: str = "",
    state: str = "",
    host: int | None = None,
    tag: str = "",
    sort: str = "name",
    page: int = 1,
) -> Any:
    """Virtual machines of all hosts: searched (`q`: words in name, title, tags, addresses, host), filtered, sorted."""
    need(request, "guest.view")
    found = guests.page_of(user_of(request), guests.Filters.read(request.GET))
    items = [rows.guest_row(guest) for guest in found.guests]
    return {"items": items, "total": found.total, "page": found.page, "pages": found.pages}


@router.get("/guests/{uuid:uuid}", response={200: schemas.GuestOut, **WRONG, 409: Problem}, tags=["guests"])
def get_guest(request: HttpRequest, uuid: UUID, host: int | None = None) -> Any:
    """One virtual machine. 409: several hosts have this UUID, name one."""
    found = guests.find(user_of(request), uuid, "" if host is None else str(host))
    if not found:
        raise Http404
    if len(found) > 1:
        raise HttpError(409, _("Several hosts have a virtual machine with this UUID: name the host."))
    return rows.guest_row(found[0])


@router.get("/pools", response={200: schemas.Pools, **WRONG}, tags=["storage"])
def list_pools(request: HttpRequest) -> Any:
    """Storage pools of all hosts."""
    need(request, "storage.view")
    return {"items": [rows.pool_row(pool) for pool in Pool.objects.select_related("host")]}


@router.get("/networks", response={200: schemas.Networks, **WRONG}, tags=["networks"])
def list_networks(request: HttpRequest) -> Any:
    """Networks of all hosts."""
    need(request, "network.view")
    return {"items": [rows.network_row(network) for network in Network.objects.select_related("host")]}


@router.get("/jobs", response={200: schemas.Jobs, **WRONG}, tags=["jobs"])
def list_jobs(request: HttpRequest, state: str = "", host: str = "", search: str = "", page: int = 1) -> Any:
    """Jobs one may see, newest first; `state` is a job's state or "active"."""
    wanted = jobs.filtered(user_of(request), state=state, host=host, search=search)
    found = Paginator(wanted, PAGE).get_page(page)
    return {
        "items": [job_row(job) for job in found],
        "total": found.paginator.count,
        "page": found.number,
        "pages": found.paginator.num_pages,
    }


@router.get("/jobs/{uuid:pk}", response={200: schemas.JobDetail, **WRONG}, tags=["jobs"])
def get_job(request: HttpRequest, pk: UUID) -> Any:
    """One job with its log."""
    job = get_object_or_404(jobs.visible_jobs(user_of(request)), pk=pk)
    return {**job_row(job), "lines": [{**line, "at": line["at"].isoformat()} for line in jobs.log_of(job)]}
