"""The API's reads of hosts, guests, pools and networks: the same queries and rows as the pages."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar, cast
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.db.models import Case, IntegerField, QuerySet, Value, When
from django.db.models.functions import Coalesce
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from ninja import Path, Router
from pydantic import Field

from dashboard.accounts.access import can, can_somewhere, on_hosts_where
from dashboard.accounts.models import User
from dashboard.api import schemas
from dashboard.api.paging import Asked, Orders, page
from dashboard.api.problems import Refusal
from dashboard.guests import queries as guests
from dashboard.guests import search
from dashboard.inventory import metrics, rows
from dashboard.inventory.models import Guest, Host, Network, Pool

router = Router()

Id = Annotated[int, Field(ge=1, le=2**63 - 1)]
OnHost = Annotated[Id | None, Field(description="Of this host only; its id")]
Search = Annotated[str, Field(max_length=search.LONGEST)]
Placed = TypeVar("Placed", Guest, Pool, Network)

NAMED: Orders = {"name": ("name", "pk"), "host": ("host__name", "name", "pk")}
HOSTS: Orders = {"name": ("name", "pk"), "status": ("status", "name", "pk")}
VOLUMES: Orders = {"name": ("name", "pk"), "capacity": ("capacity", "pk"), "allocation": ("allocation", "pk")}
GUESTS: Orders = {
    **NAMED,
    "state": ("rank", "name", "pk"),
    "vcpus": ("vcpus", "name", "pk"),
    "memory": ("memory_kib", "name", "pk"),
    "since": ("running_since", "name", "pk"),
    "changed": ("changed_at", "pk"),
}
NamedSort = Literal["name", "-name", "host", "-host"]
HostSort = Literal["name", "-name", "status", "-status"]
VolumeSort = Literal["name", "-name", "capacity", "-capacity", "allocation", "-allocation"]
GuestSort = Literal[
    "name", "-name", "host", "-host", "state", "-state", "vcpus", "-vcpus", "memory", "-memory",
    "since", "-since", "changed", "-changed",
]  # fmt: skip
NEVER = parse_datetime("9999-01-01T00:00:00Z")


def user_of(request: HttpRequest) -> User:
    """The person who asks; the API is closed to others."""
    return cast("User", request.user)


def need(request: HttpRequest, permission: str) -> None:
    """403 for who has the permission on nothing; lists then show what one may see."""
    if not can_somewhere(request.user, permission):
        raise PermissionDenied


def only(found: list[Placed], request: HttpRequest, permission: str) -> Placed:
    """The one object of a UUID that the person may see; 404 without any, 409 when several hosts have one."""
    seen = [one for one in found if can(request.user, permission, one)]
    if not seen:
        raise Http404
    if len(seen) > 1:
        raise ambiguous()
    return seen[0]


def ambiguous() -> Refusal:
    """What is answered to a UUID that several hosts have."""
    return Refusal(409, "ambiguous", _("Several hosts have something with this UUID: name the host (host=ID)."))


def _on(rows_: QuerySet[Placed], host: int | None) -> QuerySet[Placed]:
    return rows_ if host is None else rows_.filter(host_id=host)


def _placed(request: HttpRequest, model: type[Placed], permission: str, host: int | None) -> QuerySet[Placed]:
    allowed = on_hosts_where(user_of(request), permission)
    return _on(model._default_manager.filter(allowed).select_related("host"), host)


@router.get("/hosts", response=schemas.Hosts, tags=["hosts"])
def list_hosts(request: HttpRequest, response: HttpResponse, paging: Asked, sort: HostSort = "name") -> Any:
    """Hosts that one may see."""
    need(request, "host.view")
    wanted = Host.objects.defer("secrets", "host_keys", "facts").filter(
        on_hosts_where(user_of(request), "host.view", "pk")
    )
    return page(request, response, wanted, paging, sort, HOSTS, rows.host_row)


@router.get("/hosts/{int:pk}", response=schemas.HostOut, tags=["hosts"])
def get_host(request: HttpRequest, pk: Annotated[Id, Path()]) -> Any:
    """One host."""
    need(request, "host.view")
    host = Host.objects.filter(pk=pk).first()
    if host is None or not can(request.user, "host.view", host):
        raise Http404
    return rows.host_row(host)


@router.get("/guests", response=schemas.Guests, tags=["guests"])
def list_guests(
    request: HttpRequest,
    response: HttpResponse,
    paging: Asked,
    q: Search = "",
    host: OnHost = None,
    sort: GuestSort = "name",
) -> Any:
    """Virtual machines that one may see; `q` is what one types into the search box of the list."""
    need(request, "guest.view")
    wanted = _on(_found(user_of(request), q), host).select_related("host").defer("xml", "description")
    ranks = [When(state=state, then=Value(rank)) for rank, state in enumerate(guests.RANKS)]
    if sort.removeprefix("-") == "state":
        wanted = wanted.annotate(rank=Case(*ranks, default=Value(len(ranks)), output_field=IntegerField()))
    if sort.removeprefix("-") == "since":  # what is off comes as if it had been started last
        wanted = wanted.annotate(running_since=Coalesce("started_at", Value(NEVER)))
    return page(request, response, wanted, paging, sort, GUESTS, rows.guest_row)


def _found(user: User, q: str) -> QuerySet[Guest]:
    """The guests that fit a search, in the language of the list's search box."""
    try:
        return guests.visible_to(user).filter(search.parse(q).q(user))
    except search.SearchError as error:
        said = _("Please correct what is marked.")
        raise Refusal(422, "invalid", said, errors={"q": [error.message]}, position=error.start) from error


def _guest(request: HttpRequest, uuid: UUID, host: int | None) -> Guest:
    found = guests.find(user_of(request), uuid, "" if host is None else str(host))
    return only(found, request, "guest.view")


@router.get("/guests/{uuid:uuid}", response=schemas.GuestOut, tags=["guests"])
def get_guest(request: HttpRequest, uuid: UUID, host: OnHost = None) -> Any:
    """One virtual machine."""
    return rows.guest_row(_guest(request, uuid, host))


def _sample(sample: list[Any]) -> dict[str, Any]:
    return dict(zip(schemas.Sample.model_fields, sample, strict=True))


@router.get("/guests/{uuid:uuid}/stats", response=schemas.Stats, tags=["guests"])
def get_guest_stats(request: HttpRequest, uuid: UUID, host: OnHost = None) -> Any:
    """The newest figures of a virtual machine."""
    guest = _guest(request, uuid, host)
    newest = metrics.latest([(guest.host_id, str(guest.uuid))])
    return {"sample": next((_sample(sample) for sample in newest.values()), None)}


@router.get("/guests/{uuid:uuid}/history", response=schemas.History, tags=["guests"])
def get_guest_history(request: HttpRequest, uuid: UUID, host: OnHost = None) -> Any:
    """The last figures of a virtual machine, up to 300."""
    guest = _guest(request, uuid, host)
    return {"items": [_sample(sample) for sample in metrics.history(guest.host_id, str(guest.uuid))]}


@router.get("/pools", response=schemas.Pools, tags=["storage"])
def list_pools(
    request: HttpRequest, response: HttpResponse, paging: Asked, host: OnHost = None, sort: NamedSort = "name"
) -> Any:
    """Storage pools that one may see."""
    need(request, "storage.view")
    wanted = _placed(request, Pool, "storage.view", host)
    return page(request, response, wanted, paging, sort, NAMED, rows.pool_row)


def _pool(request: HttpRequest, uuid: UUID, host: int | None) -> Pool:
    return only(list(_placed(request, Pool, "storage.view", host).filter(uuid=uuid)), request, "storage.view")


@router.get("/pools/{uuid:uuid}", response=schemas.PoolOut, tags=["storage"])
def get_pool(request: HttpRequest, uuid: UUID, host: OnHost = None) -> Any:
    """One storage pool."""
    return rows.pool_row(_pool(request, uuid, host))


@router.get("/pools/{uuid:uuid}/volumes", response=schemas.Volumes, tags=["storage"])
def list_volumes(
    request: HttpRequest,
    response: HttpResponse,
    uuid: UUID,
    paging: Asked,
    host: OnHost = None,
    sort: VolumeSort = "name",
) -> Any:
    """The volumes of a storage pool."""
    wanted = _pool(request, uuid, host).volumes.all()
    return page(request, response, wanted, paging, sort, VOLUMES, rows.volume_row)


@router.get("/networks", response=schemas.Networks, tags=["networks"])
def list_networks(
    request: HttpRequest, response: HttpResponse, paging: Asked, host: OnHost = None, sort: NamedSort = "name"
) -> Any:
    """Networks that one may see."""
    need(request, "network.view")
    wanted = _placed(request, Network, "network.view", host)
    return page(request, response, wanted, paging, sort, NAMED, rows.network_row)


@router.get("/networks/{uuid:uuid}", response=schemas.NetworkOut, tags=["networks"])
def get_network(request: HttpRequest, uuid: UUID, host: OnHost = None) -> Any:
    """One network."""
    found = list(_placed(request, Network, "network.view", host).filter(uuid=uuid))
    return rows.network_row(only(found, request, "network.view"))
