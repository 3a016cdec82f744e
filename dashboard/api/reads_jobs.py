"""The API's reads of jobs, of the operations that there are, and of the person who asks."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Annotated, Any, Literal
from uuid import UUID

from asgiref.sync import sync_to_async
from django.db import connections
from django.http import Http404, HttpRequest, HttpResponse
from ninja import Router
from pydantic import Field

from dashboard.accounts import tokens
from dashboard.accounts.access import forget, limits_of, rights_of
from dashboard.accounts.models import ApiToken, Grant, User
from dashboard.accounts.permissions import PERMISSIONS
from dashboard.api import schemas
from dashboard.api.changes import route_of
from dashboard.api.paging import Asked, Orders, page
from dashboard.api.reads import Id, Search, user_of
from dashboard.inventory.rows import epoch_ms
from dashboard.jobs import queries as jobs
from dashboard.jobs import quotas
from dashboard.jobs.models import Job
from dashboard.jobs.operation import OPERATIONS
from dashboard.jobs.rows import job_row
from dashboard.jobs.wording import english, spoken

router = Router()

JOBS: Orders = {"created": ("created_at", "pk")}
JobState = Literal[
    "", "active", "queued", "running", "undoing", "succeeded", "failed", "cancelled", "needs_attention"
]  # fmt: skip
LONGEST_WAIT = 30
MOST_WAITING = 20
"""Requests of one person that wait for jobs at once; more are answered without waiting."""
LOOKS = (0.2, 0.3, 0.5, 1.0)
"""Seconds between looks at a job that somebody waits for; the last goes on."""

_waiting: Counter[int] = Counter()


@router.get("/jobs", response=schemas.Jobs, tags=["jobs"])
def list_jobs(
    request: HttpRequest,
    response: HttpResponse,
    paging: Asked,
    state: JobState = "",
    host: Id | None = None,
    search: Search = "",
    parent: UUID | None = None,
    sort: Literal["created", "-created"] = "-created",
) -> Any:
    """Jobs that one may see, newest first; "active" are all that wait or run. `search`: in the object or operation.

    `parent`: the jobs of one for many machines; without it, a search or a host, that one stands for them.
    """
    of = str(parent or "")
    wanted = jobs.filtered(user_of(request), state=state, host=str(host or ""), search=search, parent=of)
    return page(request, response, wanted, paging, sort, JOBS, job_row)


@router.get("/jobs/{uuid:pk}", response=schemas.JobDetail, tags=["jobs"])
async def get_job(request: HttpRequest, pk: UUID, wait: Annotated[int, Field(ge=0, le=LONGEST_WAIT)] = 0) -> Any:
    """One job with its log. `wait`: answer when the job has ended, or after so many seconds."""
    user = user_of(request)
    if wait and await sync_to_async(_is_active)(user, pk) and _waiting[user.pk] < MOST_WAITING:
        _waiting[user.pk] += 1
        try:
            await _until_ended(user, pk, wait)
        finally:
            _waiting[user.pk] -= 1
    return await sync_to_async(_detail)(user, pk)


async def _until_ended(user: User, pk: UUID, seconds: float) -> None:
    clock = asyncio.get_running_loop().time
    end, looks = clock() + seconds, list(LOOKS)
    while (left := end - clock()) > 0:
        await asyncio.sleep(min(left, looks.pop(0) if len(looks) > 1 else looks[0]))
        if not await sync_to_async(_is_active)(user, pk):
            return


def _is_active(user: User, pk: UUID) -> bool:
    """Whether there is something to wait for, and no connection to the database is held meanwhile."""
    forget(user)
    try:
        return _in_force(user) and jobs.visible_jobs(user).filter(pk=pk, state__in=Job.ACTIVE).exists()
    finally:
        release_database()


def _in_force(user: User) -> bool:
    """Whether the token with which somebody came is still in force; who came by a session has none."""
    token: ApiToken | None = user.__dict__.get("_token")
    return token is None or tokens.still_holds(token.pk)


def release_database() -> None:
    """Close this thread's connections, which would else stay open as long as the request does."""
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close()


def _detail(user: User, pk: UUID) -> dict[str, Any]:
    job = jobs.visible_jobs(user).filter(pk=pk).first()
    if job is None or not _in_force(user):
        raise Http404
    return {**job_row(job), "lines": [{**line, "at": line["at"].isoformat()} for line in jobs.log_of(job)]}


@router.get("/operations", response=schemas.Operations, tags=["operations"])
def list_operations(request: HttpRequest) -> Any:
    """All operations, with the permission and the parameters of each."""
    return {
        "items": [
            {
                "name": declared.name,
                "label": spoken(english(declared.label)),
                "target": declared.target,
                "permission": declared.permission,
                "path": f"/api/v1{route_of(declared)}",
                "params": declared.params.model_json_schema(),
                "confirm": spoken(english(declared.confirm)) if declared.confirm else "",
                "cancellable": declared.cancellable,
                "locks": declared.locks,
            }
            for declared in OPERATIONS.values()
        ]
    }


@router.get("/me", response=schemas.Me, tags=["me"])
def get_me(request: HttpRequest) -> Any:
    """The person who asks: their groups, grants, permissions, token and quotas."""
    user = user_of(request)
    rights, limits = rights_of(user), limits_of(user)
    grants = Grant.objects.filter(user=user) | Grant.objects.filter(group__user=user)
    return {
        "id": user.pk,
        "username": user.get_username(),
        "language": user.language,
        "groups": [group.name for group in user.groups.order_by("name")],
        "grants": [
            {"role": one.role, "place": one.place, "key": one.key, "group": one.group.name if one.group else None}
            for one in grants.select_related("group").distinct()
        ],
        "permissions": sorted(rights.everywhere & limits.everywhere),
        "somewhere": sorted(name for name in PERMISSIONS if rights.somewhere(name) and limits.somewhere(name)),
        "token": _token(user.__dict__.get("_token")),
        "quota": quotas.summary(user),
    }


def _token(token: ApiToken | None) -> dict[str, Any] | None:
    if token is None:
        return None
    return {
        "name": token.name,
        "hint": token.hint,
        "role": token.role,
        "place": token.place,
        "key": token.key,
        "expires_at": epoch_ms(token.expires_at),
    }
