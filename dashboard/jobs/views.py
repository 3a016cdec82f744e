"""Pages and addresses of jobs: submit an operation, see, cancel and repeat jobs."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, cast

from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from dashboard.accounts.access import can, on_hosts_where
from dashboard.accounts.adapter import client_ip
from dashboard.accounts.decorators import signed_in
from dashboard.accounts.models import User
from dashboard.inventory.models import Host
from dashboard.jobs import children, queries, service
from dashboard.jobs.errors import Denied, Invalid, Locked, SubmitError
from dashboard.jobs.models import Job
from dashboard.jobs.operation import OPERATIONS, Operation
from dashboard.jobs.rows import job_row
from dashboard.jobs.targets import Target, known_host, visible

PAGE = 50


def refusal(error: SubmitError, user: User) -> JsonResponse:
    """The answer to a wish that did not become a job; the job that is in the way is told to who may see it."""
    body: dict[str, Any] = {"error": str(error.reason), **error.more}
    if isinstance(error, Invalid):
        return JsonResponse({**body, "errors": error.errors}, status=400)
    if isinstance(error, Locked) and service.visible_to(user, error.job):
        body["job"] = job_row(error.job)
    return JsonResponse(body, status=403 if isinstance(error, Denied) else 409)


def wish(request: HttpRequest, declared: Operation) -> tuple[dict[str, str], dict[str, Any]]:
    """(target's kind, key and host; parameters) of a JSON body or a form."""
    if request.content_type == "application/json":
        try:
            body = json.loads(request.body or b"{}")
        except (ValueError, RecursionError):  # the latter: brackets without end
            body = None
        if not isinstance(body, dict) or not isinstance(body.get("params") or {}, dict):
            raise Invalid({"": [_("The request is not the JSON object that was expected.")]})
        given = body.get("target")
        where = given if isinstance(given, dict) else body
        return {name: str(where.get(name) or "") for name in ("kind", "key", "host")}, body.get("params") or {}
    where = {name: str(request.POST.get(name, "")) for name in ("kind", "key", "host")}
    return where, form_params(request.POST, declared)


def form_params(form: QueryDict, declared: Operation) -> dict[str, Any]:
    """The operation's parameters in a form: lists keep all their values, empty fields are left out."""
    found: dict[str, Any] = {}
    for name, field in declared.params.model_fields.items():
        if name in form:
            many = getattr(field.annotation, "__origin__", None) in (list, tuple, set, frozenset)
            value = form.getlist(name) if many else form[name]
            if value != "" or field.is_required():
                found[name] = value
    return found


def target_of(user: User, declared: Operation, where: dict[str, str]) -> tuple[Target, Host | None]:
    """The object that the wish is about, or 404 as for one that the person may not see."""
    host_id = int(where["host"]) if where["host"].isdecimal() and len(where["host"]) < 16 else None
    if declared.target == "none":
        host = known_host(user, host_id)
        if where["host"] and host is None:
            raise Http404
        return None, host
    target = visible(user, declared, where["kind"] or declared.target, where["key"], host_id)
    if target is None:
        raise Http404
    return target, None


@signed_in
@require_POST
def operate(request: HttpRequest, name: str) -> JsonResponse:
    """Submit one operation: 202 with the job, or why not."""
    declared = OPERATIONS.get(name)
    if declared is None:
        raise Http404
    user = cast("User", request.user)
    try:
        where, params = wish(request, declared)
        if former := service.repeated(user, request.headers.get("Idempotency-Key"), name, where["key"]):
            return JsonResponse({"job": job_row(former)}, status=202)
        target, host = target_of(user, declared, where)
        job = service.submit(
            user=user,
            operation=name,
            target=target,
            params=params,
            idempotency_key=request.headers.get("Idempotency-Key"),
            source_ip=client_ip(request),
            host=host,
        )
    except SubmitError as error:
        return refusal(error, user)
    return JsonResponse({"job": job_row(job)}, status=202)


@signed_in
@require_GET
def job_list(request: HttpRequest) -> HttpResponse:
    """All jobs one may see, newest first; filters and page are in the address."""
    user = cast("User", request.user)
    chosen = {name: request.GET.get(name, "").strip() for name in ("state", "host", "search")}
    page = Paginator(queries.filtered(user, **chosen), PAGE).get_page(request.GET.get("page"))
    return render(
        request,
        "jobs/list.html",
        {
            "page": page,
            "items": [{"job": job, "row": job_row(job)} for job in page],
            "chosen": chosen,
            "filtered": any(chosen.values()),
            "states": Job.State.choices,
            "hosts": Host.objects.filter(on_hosts_where(user, "host.view", "pk")).only("pk", "name"),
        },
    )


def _job(request: HttpRequest, pk: Any) -> Job:
    return get_object_or_404(queries.visible_jobs(cast("User", request.user)), pk=pk)


@signed_in
@require_GET
def detail(request: HttpRequest, pk: Any) -> HttpResponse:
    """One job: how it stands, its steps, log and command line."""
    user, job = cast("User", request.user), _job(request, pk)
    row = job_row(job)
    if "application/json" in request.headers.get("Accept", ""):
        return JsonResponse({"job": row, "lines": queries.log_of(job)})
    return render(
        request,
        "jobs/detail.html",
        {
            "job": job,
            "row": row,
            "steps": queries.steps_of(job),
            "lines": queries.log_of(job),
            "repeatable": queries.repeatable(job),
            "may_act": queries.may_act(user, job),
            "may_audit": can(request.user, "audit.view"),
            "children": children.listed(user, job, request.GET.get("of", ""), request.GET.get("page"))
            if job.is_parent
            else None,
        },
    )


@signed_in
@require_GET
def recent(request: HttpRequest) -> JsonResponse:
    """What the drawer shows."""
    return JsonResponse({"jobs": [job_row(job) for job in queries.recent_jobs(cast("User", request.user))]})


def _act(request: HttpRequest, job: Job, act: Callable[[], Job]) -> HttpResponse:
    """Do it and answer in the asker's way: JSON for scripts, the job's page for forms."""
    asks_json = "text/html" not in request.headers.get("Accept", "")
    try:
        done = act()
    except SubmitError as error:
        answer = refusal(error, cast("User", request.user))
        if asks_json:
            return answer
        return render(request, "jobs/refused.html", {"reason": error.reason, "job": job}, status=answer.status_code)
    return JsonResponse({"job": job_row(done)}, status=202) if asks_json else redirect("jobs:detail", pk=done.pk)


@signed_in
@require_POST
def cancel(request: HttpRequest, pk: Any) -> HttpResponse:
    """Cancel a job."""
    job = _job(request, pk)
    return _act(request, job, lambda: service.cancel(cast("User", request.user), job, source_ip=client_ip(request)))


@signed_in
@require_POST
def retry(request: HttpRequest, pk: Any) -> HttpResponse:
    """Submit a failed job's operation again."""
    job = _job(request, pk)
    return _act(request, job, lambda: service.retry(cast("User", request.user), job, source_ip=client_ip(request)))
