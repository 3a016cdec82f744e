"""The results of a parent's children, as its page lists them: what went wrong first, narrowed by state, by pages."""

from __future__ import annotations

from typing import Any

from django.core.paginator import Paginator
from django.db.models import Case, IntegerField, Value, When
from django.utils.translation import gettext as _

from dashboard.accounts.models import User
from dashboard.jobs.family import counts_of
from dashboard.jobs.models import Job
from dashboard.jobs.queries import visible_jobs
from dashboard.jobs.rows import job_row

PAGE = 50
BAD = (Job.State.FAILED, Job.State.NEEDS_ATTENTION)
GROUPS: dict[str, tuple[str, ...]] = {
    "bad": BAD,
    "active": Job.ACTIVE,
    "succeeded": (Job.State.SUCCEEDED,),
    "cancelled": (Job.State.CANCELLED,),
}


def listed(user: User, parent: Job, group: str, page: Any) -> dict[str, Any]:
    """One page of results; `group` is a key of GROUPS or "" for all."""
    jobs = visible_jobs(user).filter(parent=parent)
    if group in GROUPS:
        jobs = jobs.filter(state__in=GROUPS[group])
    bad, goes_on = When(state__in=BAD, then=Value(0)), When(state__in=Job.ACTIVE, then=Value(1))
    rank = Case(bad, goes_on, default=Value(2), output_field=IntegerField())
    found = Paginator(jobs.order_by(rank, "object_name", "pk"), PAGE).get_page(page)
    ways = _seen(user, {job.result.get("in_the_way") for job in found} - {None})
    return {
        "page": found,
        "items": [
            {"job": job, "row": job_row(job), "in_the_way": ways.get(job.result.get("in_the_way"))} for job in found
        ],
        "choices": _choices(parent, group),
    }


def _seen(user: User, keys: set[str]) -> dict[str, str]:
    """Of the jobs that were in the way those that the person may see."""
    found = visible_jobs(user).filter(pk__in=keys).values_list("pk", flat=True) if keys else ()
    return {str(pk): str(pk) for pk in found}


def _choices(parent: Job, group: str) -> list[dict[str, Any]]:
    counts = counts_of(parent)
    words = {"": _("All"), "bad": _("Failed"), "active": _("In progress"), "succeeded": _("Done")}
    words["cancelled"] = _("Cancelled")
    numbers = {key: sum(counts[state] for state in GROUPS[key]) for key in GROUPS} | {"": counts["all"]}
    return [
        {"label": word, "href": f"?of={key}" if key else "?", "number": numbers[key], "chosen": key == group}
        for key, word in words.items()
        if numbers[key] or key in ("", group)
    ]
