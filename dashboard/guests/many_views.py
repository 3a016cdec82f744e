"""Pages' addresses for many guests at once: what may be done to them, the question before it, and doing it."""

from __future__ import annotations

import json
from typing import Any, cast

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from dashboard.accounts.access import can_somewhere
from dashboard.accounts.adapter import client_ip
from dashboard.accounts.decorators import need
from dashboard.accounts.models import User
from dashboard.guests import many, many_fields
from dashboard.inventory.models import Guest
from dashboard.jobs import many as jobs
from dashboard.jobs.errors import Invalid, SubmitError
from dashboard.jobs.operation import OPERATIONS, Operation
from dashboard.jobs.rows import job_row
from dashboard.jobs.views import refusal

NAMED = 10
"""Guests that the question names; of the others it says how many there are."""


def _body(request: HttpRequest, declared: Operation | None = None) -> dict[str, Any]:
    """The request's JSON, or the same from a form, where a guest is "3/<uuid>"."""
    wrong = Invalid({"": [_("The request is not the JSON object that was expected.")]})
    if request.content_type != "application/json":
        return _form(request, declared)
    try:
        body = json.loads(request.body or b"{}")
    except (ValueError, RecursionError) as error:  # the latter: brackets without end
        raise wrong from error
    if not isinstance(body, dict) or not isinstance(body.get("params") or {}, dict):
        raise wrong
    return body


def _form(request: HttpRequest, declared: Operation | None) -> dict[str, Any]:
    def keys(name: str) -> list[dict[str, str]]:
        parts = (text.partition("/") for text in request.POST.getlist(name))
        return [{"host": host, "uuid": key} for host, _slash, key in parts]

    params: dict[str, Any] = {}
    for field in many_fields.fields_of(declared) if declared else []:
        if text := request.POST.get(field["name"], ""):
            params[field["name"]] = text.split() if field["kind"] == "words" else text
    confirmed = {"number": request.POST.get("number"), "fitting": bool(request.POST.get("fitting")), "params": params}
    if "q" in request.POST:
        return {"q": request.POST["q"], "but": keys("but"), **confirmed}
    return {"guests": keys("guests"), **confirmed}


def _number(body: dict[str, Any]) -> int | None:
    number = body.get("number")
    if number is None or number == "":
        return None
    text = str(number).strip()
    if isinstance(number, bool) or not text.isdecimal() or len(text) > 9:
        raise Invalid({"number": [_("Enter a whole number.")]})
    return int(text)


def _declared(user: User, name: str) -> Operation:
    """The operation, or 404 for one that is not for many or that the person may do nowhere."""
    declared = OPERATIONS.get(name)
    if declared not in many.operations() or declared is None or not can_somewhere(user, declared.permission):
        raise Http404
    return declared


def _targets(user: User, declared: Operation, body: dict[str, Any]) -> list[Guest]:
    """The guests that are meant; with "fitting" only those that the operation fits now."""
    found = many.targets(user, many.read(body))
    return many.fitting(user, declared, found)[0] if body.get("fitting") else found


@need("guest.view")
@require_POST
def offers(request: HttpRequest) -> JsonResponse:
    """How many guests are meant, and how many of them each operation fits."""
    user = cast("User", request.user)
    try:
        guests = many.targets(user, many.read(_body(request)))
    except SubmitError as error:
        return refusal(error, user)
    return JsonResponse({"number": len(guests), "operations": many.offers(user, guests)})


@need("guest.view")
@require_POST
def question(request: HttpRequest, name: str) -> HttpResponse:
    """The dialog before an operation on many: what it does to how many, which, what is lost, what it must be told."""
    user = cast("User", request.user)
    declared = _declared(user, name)
    try:
        guests = many.targets(user, many.read(_body(request)))
    except SubmitError as error:
        return refusal(error, user)
    fit, reasons = many.fitting(user, declared, guests)
    context = {
        "operation": declared,
        "typed": declared.many is not None and declared.many.typed,
        "danger": bool(declared.extra.get("danger")),
        "number": len(fit),
        "named": fit[:NAMED],
        "more": max(0, len(fit) - NAMED),
        "left_out": reasons.most_common(),
        "left_out_number": sum(reasons.values()),
        "fields": many_fields.fields_of(declared),
    }
    return render(request, "guests/_many_dialog.html", context)


@need("guest.view")
@require_POST
def operate(request: HttpRequest, name: str) -> JsonResponse:
    """Do it: 202 with the parent job, or why not. 409 with "number" when other guests are meant than were confirmed."""
    user = cast("User", request.user)
    declared = _declared(user, name)
    try:
        body = _body(request, declared)
        job = jobs.submit(
            user=user,
            operation=name,
            targets=_targets(user, declared, body),
            params=body.get("params") or {},
            number=_number(body),
            idempotency_key=request.headers.get("Idempotency-Key"),
            source_ip=client_ip(request),
        )
    except SubmitError as error:
        return refusal(error, user)
    return JsonResponse({"job": job_row(job)}, status=202)
