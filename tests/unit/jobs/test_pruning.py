"""Finished jobs go after their time, few at a time; what somebody must look at, and the audit log, stay."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import Settings

from dashboard.accounts import audit
from dashboard.accounts.models import AuditEntry
from dashboard.inventory.models import Host
from dashboard.jobs import pruning
from dashboard.jobs.models import Job, JobLine, Ownership

pytestmark = pytest.mark.django_db


def ended(days: float, state: str = "succeeded", **fields: Any) -> Job:
    """A job that was asked for and ended that long ago."""
    then = timezone.now() - timedelta(days=days)
    job = Job.objects.create(operation="guest.start", state=state, finished_at=then, **fields)
    Job.objects.filter(pk=job.pk).update(created_at=then)
    return job


def left() -> set[Any]:
    return set(Job.objects.values_list("pk", flat=True))


def test_jobs_go_with_their_logs_after_the_days_that_they_are_kept(settings: Settings) -> None:
    settings.KEEP_JOBS_DAYS = 180
    old, young = ended(181), ended(179)
    old.lines.create(text="done")
    audit.record(actor=None, action="guest.start", phase="start", job_id=old.pk)
    assert pruning.prune() == 1
    assert left() == {young.pk}
    assert not JobLine.objects.exists()
    assert AuditEntry.objects.get().job_id == old.pk


@pytest.mark.parametrize("state", ["needs_attention", "queued", "running", "undoing"])
def test_what_needs_somebody_or_goes_on_stays(settings: Settings, state: str) -> None:
    settings.KEEP_JOBS_DAYS = 1
    job = ended(500, state)
    assert pruning.prune() == 0
    assert left() == {job.pk}


def test_what_was_asked_for_long_ago_and_ended_yesterday_stays(settings: Settings) -> None:
    settings.KEEP_JOBS_DAYS = 180
    job = ended(200)
    Job.objects.update(finished_at=timezone.now() - timedelta(days=1))
    assert pruning.prune() == 0
    assert left() == {job.pk}


def test_zero_days_mean_for_ever(settings: Settings) -> None:
    settings.KEEP_JOBS_DAYS = 0
    ended(5000)
    assert pruning.prune() == 0


def test_only_a_few_go_at_a_time_the_oldest_first(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.KEEP_JOBS_DAYS = 10
    monkeypatch.setattr(pruning, "BATCH", 2)
    jobs = [ended(days) for days in (20, 40, 30)]
    assert pruning.prune() == 2
    assert left() == {jobs[0].pk}
    assert pruning.prune() == 1


def test_a_parent_goes_after_its_children_and_stays_while_one_of_them_must(settings: Settings) -> None:
    settings.KEEP_JOBS_DAYS = 10
    parent = ended(30, "needs_attention")
    other = ended(30)
    bad = ended(30, "needs_attention", parent=parent)
    ended(30, parent=parent)
    ended(30, parent=other)
    assert pruning.prune() == 2
    assert pruning.prune() == 1
    assert left() == {parent.pk, bad.pk}


def test_whose_guest_it_is_stays_known_when_the_job_that_made_it_goes(
    settings: Settings, django_user_model: Any
) -> None:
    settings.KEEP_JOBS_DAYS = 10
    host = Host.objects.create(name="alpha", transport="test")
    maker = django_user_model.objects.create_user("olga")
    job = ended(30)
    Ownership.objects.create(user=maker, host=host, uuid=job.pk, job=job, vcpus=2)
    pruning.prune()
    assert Ownership.objects.get().vcpus == 2
