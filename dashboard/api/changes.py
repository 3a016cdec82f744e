"""The API's changes: one typed route per declared operation, made from its declaration; cancel and retry of jobs."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from ninja import Router, Status
from ninja.params.functions import Body, Header, Path
from pydantic import ValidationError

from dashboard.accounts.adapter import client_ip
from dashboard.accounts.models import User
from dashboard.api.reads import Id, OnHost, ambiguous, user_of
from dashboard.api.schemas import JobOut
from dashboard.inventory.models import Guest, Host, Network, Pool
from dashboard.jobs import queries, service
from dashboard.jobs.models import Job
from dashboard.jobs.operation import OPERATIONS, NoParams, Operation, Params
from dashboard.jobs.rows import job_row
from dashboard.jobs.targets import Target, known_host, visible
from dashboard.jobs.wording import english

ANSWERS = {202: JobOut}
IDEMPOTENCY_KEY: Any = Header(
    None,
    alias="Idempotency-Key",
    max_length=128,
    description="A text of one's own: what is sent again with it gives the same job again, not a second one",
)
PLACES: dict[str, tuple[str, Any]] = {
    "guest": ("/guests/{uuid:key}/operations/", UUID),
    "pool": ("/pools/{uuid:key}/operations/", UUID),
    "network": ("/networks/{uuid:key}/operations/", UUID),
    "host": ("/hosts/{int:key}/operations/", Id),
    "none": ("/operations/", UUID),
}


TWINS: dict[str, type[Guest | Pool | Network]] = {"guest": Guest, "pool": Pool, "network": Network}
"""What several hosts may have under one UUID."""


def operations_router() -> Router:
    """A router with a route for every operation there is now: `POST /guests/{uuid}/operations/start`."""
    router = Router()
    for declared in OPERATIONS.values():
        router.post(
            PLACES[declared.target][0] + _verb(declared),
            response=ANSWERS,
            tags=[f"{declared.target} operations"],
            operation_id=declared.name.replace(".", "_"),
            summary=english(declared.label),
            description=f"{declared.name} needs the permission {declared.permission}. Steps: {_steps(declared)}.",
        )(_view(declared))
    return router


def route_of(declared: Operation) -> str:
    """The operation's address below the API's root: "/guests/{uuid}/operations/start"."""
    place = PLACES[declared.target][0].replace("{uuid:key}", "{uuid}").replace("{int:key}", "{id}")
    return place + _verb(declared)


def _verb(declared: Operation) -> str:
    return declared.name if declared.target == "none" else declared.name.partition(".")[2]


def _steps(declared: Operation) -> str:
    return "; ".join(english(step.label) for step in declared.steps)


def _target(request: HttpRequest, declared: Operation, key: Any, host: int | None) -> tuple[Target, Host | None]:
    """The object of a route, or 404 as for one that the person may not see."""
    if declared.target == "none":
        concerned = known_host(user_of(request), host)
        if host is not None and concerned is None:
            raise Http404
        return None, concerned
    target = visible(user_of(request), declared, declared.target, str(key), host)
    if target is None:
        if host is None and isinstance(key, UUID):
            _told_apart(user_of(request), declared, key)
        raise Http404
    return target, None


def _told_apart(user: User, declared: Operation, key: UUID) -> None:
    """409 when several hosts have something with this UUID that the person may see."""
    kind = declared.target
    hosts = TWINS[kind]._default_manager.filter(uuid=key).values_list("host_id", flat=True)[:50]
    if len([host for host in hosts if visible(user, declared, kind, str(key), host)]) > 1:
        raise ambiguous()


def _view(declared: Operation) -> Callable[..., Any]:
    """The view of one operation; its signature, from which ninja makes route and schema, is built from the declaration."""

    def view(request: HttpRequest, response: HttpResponse, **given: Any) -> Any:
        key = given.get("idempotency_key")
        if former := service.repeated(user_of(request), key, declared.name, str(given.get("key") or "")):
            return accepted(response, former)
        target, host = _target(request, declared, given.get("key"), given.get("host"))
        job = service.submit(
            user=user_of(request),
            operation=declared.name,
            target=target,
            params=given.get("params"),
            idempotency_key=key,
            source_ip=client_ip(request),
            host=host,
        )
        return accepted(response, job)

    def parameter(name: str, annotation: Any, default: Any = inspect.Parameter.empty) -> inspect.Parameter:
        return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)

    place = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parts = [inspect.Parameter("request", place, annotation=HttpRequest)]
    parts.append(inspect.Parameter("response", place, annotation=HttpResponse))
    if declared.target != "none":
        what = "The host's id" if declared.target == "host" else "UUID"
        parts.append(parameter("key", PLACES[declared.target][1], Path(..., description=what)))
    if declared.target != "host":
        parts.append(parameter("host", OnHost, None))
    parts.append(parameter("idempotency_key", str | None, IDEMPOTENCY_KEY))
    if declared.params is not NoParams:
        needed = asks_something(declared.params)
        parts.append(
            parameter("params", declared.params, Body(...))
            if needed
            else parameter("params", declared.params | None, Body(None))
        )
    view.__signature__ = inspect.Signature(parts)  # type: ignore[attr-defined]
    view.__name__ = declared.name.replace(".", "_")
    return view


def asks_something(params: type[Params]) -> bool:
    """Whether an operation cannot be asked for without telling it anything."""
    try:
        params()
    except ValidationError:
        return True
    return False


def accepted(response: HttpResponse, job: Job) -> Status[Any]:
    """202 with the job, and where it can be looked at."""
    response["Location"] = f"/api/v1/jobs/{job.pk}"
    return Status(202, job_row(job))


jobs_router = Router()


@jobs_router.post("/jobs/{uuid:pk}/cancel", response=ANSWERS, tags=["jobs"])
def cancel_job(request: HttpRequest, response: HttpResponse, pk: UUID) -> Any:
    """Ask a job to stop and undo; one that has not begun ends at once."""
    job = get_object_or_404(queries.visible_jobs(user_of(request)), pk=pk)
    return accepted(response, service.cancel(user_of(request), job, source_ip=client_ip(request)))


@jobs_router.post("/jobs/{uuid:pk}/retry", response=ANSWERS, tags=["jobs"])
def retry_job(request: HttpRequest, response: HttpResponse, pk: UUID) -> Any:
    """Submit a failed or cancelled job's operation again."""
    job = get_object_or_404(queries.visible_jobs(user_of(request)), pk=pk)
    return accepted(response, service.retry(user_of(request), job, source_ip=client_ip(request)))
