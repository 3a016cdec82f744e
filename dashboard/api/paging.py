"""Pages of long lists by keyset: a cursor names the last row seen, so that what is added meanwhile shifts nothing."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated, Any, TypeVar
from urllib.parse import urlencode

from django.core import signing
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from ninja import Query, Schema
from pydantic import Field

from dashboard.api.problems import Refusal

MOST = 200
Row = TypeVar("Row", bound=Model)
Orders = Mapping[str, tuple[str, ...]]
"""The word in the address → fields of the database; none may be null, the last is unique."""


class Paging(Schema):
    """Which part of a list."""

    cursor: Annotated[str, Field(max_length=2048, description="`next` of the page before; empty: the first page")] = ""
    limit: Annotated[int, Field(ge=1, le=MOST, description="Rows a page")] = 50
    count: Annotated[bool, Field(description="Also say how many there are in all")] = False


Asked = Query[Paging]


def page(
    request: HttpRequest,
    response: HttpResponse,
    rows: QuerySet[Row],
    asked: Paging,
    sort: str,
    orders: Orders,
    shape: Callable[[Row], Any],
) -> dict[str, Any]:
    """One page: items, the cursor of the next (also as a Link header), and the total if it was asked for.

    `sort` is a word of `orders`, with "-" before it for the other direction. One query, two with the total.
    """
    fields, down = orders[sort.removeprefix("-")], sort.startswith("-")
    signer = signing.Signer(salt=f"api:{request.path}:{sort}")
    wanted = rows.order_by(*(f"-{field}" if down else field for field in fields))
    if asked.cursor:
        wanted = wanted.filter(_after(fields, _read(signer, asked.cursor, len(fields)), down=down))
    found = list(wanted[: asked.limit + 1])
    following = None
    if len(found) > asked.limit:
        found.pop()
        following = signer.sign_object([_plain(_value(found[-1], field)) for field in fields])
        query = request.GET.copy()
        query["cursor"] = following
        response["Link"] = f'<{request.path}?{urlencode(list(query.items()))}>; rel="next"'
    return {
        "items": [shape(row) for row in found],
        "next": following,
        "total": rows.order_by().count() if asked.count else None,
    }


def _read(signer: signing.Signer, cursor: str, length: int) -> list[Any]:
    """The values in a cursor that we gave; another list's, another order's or a made-up one is an error."""
    try:
        values = signer.unsign_object(cursor)
    except (signing.BadSignature, ValueError, UnicodeError):
        values = None
    if not isinstance(values, list) or len(values) != length:
        said = _("This is no cursor of this list in this order: begin without one.")
        raise Refusal(422, "invalid", _("Please correct what is marked."), errors={"cursor": [said]})
    return values


def _after(fields: tuple[str, ...], values: list[Any], *, down: bool) -> Q:
    """What comes after a row with these values: later in the first field in which it differs."""
    wanted, same = Q(pk__in=[]), Q()
    for field, value in zip(fields, values, strict=True):
        wanted |= same & Q(**{f"{field}__{'lt' if down else 'gt'}": value})
        same &= Q(**{field: value})
    return wanted


def _value(row: Model, field: str) -> Any:
    found: Any = row
    for name in field.split("__"):
        found = getattr(found, name)
    return found


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else str(value) if isinstance(value, uuid.UUID) else value
