"""The API's changes to many guests at once: one typed route for each operation that is declared for many."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated, Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from ninja import Router, Schema
from ninja.params.functions import Body
from pydantic import ConfigDict, Field, create_model

from dashboard.accounts.adapter import client_ip
from dashboard.api.changes import ANSWERS, IDEMPOTENCY_KEY, accepted, asks_something
from dashboard.api.reads import Id, user_of
from dashboard.guests import many
from dashboard.guests.search import LONGEST
from dashboard.jobs import many as jobs
from dashboard.jobs.operation import NoParams, Operation
from dashboard.jobs.wording import english


class GuestRef(Schema):
    """One virtual machine: several hosts may have one UUID."""

    model_config = ConfigDict(extra="forbid")
    host: Id
    uuid: UUID


Refs = Annotated[list[GuestRef], Field(max_length=jobs.MOST)]


class ManyWish(Schema):
    """Which machines are meant: named one by one, or all that fit a search but some."""

    model_config = ConfigDict(extra="forbid")
    guests: Annotated[Refs | None, Field(description="Machines, one by one. This or `q`.")] = None
    q: Annotated[
        str | None, Field(max_length=LONGEST, description="A search; it is resolved when the job is made.")
    ] = None
    but: Annotated[Refs, Field(description="Machines that `q` finds and that are not meant.")] = []
    number: Annotated[
        int | None,
        Field(ge=0, description="How many it is about; when it is another number by now, 409 says which."),
    ] = None
    fitting: Annotated[
        bool, Field(description="Leave out those that the operation does not fit; else each has its failed job.")
    ] = False


def many_router() -> Router:
    """A router with `POST /guests/operations/start` and its like."""
    router = Router()
    for declared in many.operations():
        router.post(
            f"/guests/operations/{declared.name.partition('.')[2]}",
            response=ANSWERS,
            tags=["many guests"],
            operation_id=f"{declared.name.replace('.', '_')}_many",
            summary=f"{english(declared.label)}, many at once",
            description=f"One job whose `children` are counted by state; GET /jobs?parent=… lists them. Each machine "
            f"needs the permission {declared.permission}; one that cannot be done has failed with the reason.",
        )(_view(declared))
    return router


def _body(declared: Operation) -> Any:
    """The body: which machines, and what is asked once for all of them."""
    params = jobs.params_of(declared)
    if params is NoParams:
        return ManyWish
    field: Any = (params, ...) if asks_something(params) else (params | None, None)
    return create_model(f"Many{params.__name__}Wish", __base__=ManyWish, params=field)


def _view(declared: Operation) -> Callable[..., Any]:
    def view(request: HttpRequest, response: HttpResponse, **given: Any) -> Any:
        user, wish = user_of(request), given["wish"]
        plain = wish.model_dump(mode="json")
        meant = many.targets(user, many.read(plain))
        job = jobs.submit(
            user=user,
            operation=declared.name,
            targets=many.fitting(user, declared, meant)[0] if wish.fitting else meant,
            params=plain.get("params"),
            number=wish.number,
            idempotency_key=given["idempotency_key"],
            source_ip=client_ip(request),
        )
        return accepted(response, job)

    place, keyword = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY
    view.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter("request", place, annotation=HttpRequest),
            inspect.Parameter("response", place, annotation=HttpResponse),
            inspect.Parameter("idempotency_key", keyword, annotation=str | None, default=IDEMPOTENCY_KEY),
            inspect.Parameter("wish", keyword, annotation=_body(declared), default=Body(...)),
        ]
    )
    view.__name__ = f"{declared.name.replace('.', '_')}_many"
    return view
