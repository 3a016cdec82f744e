"""What a real worker does beside jobs: old ones go, and what people no longer own is given back."""

from __future__ import annotations

import uuid
from datetime import timedelta

from django.utils import timezone

from dashboard.inventory.models import Host
from dashboard.jobs.models import Job, Ownership
from tests.integration.jobs.conftest import Plant


def test_a_worker_removes_old_jobs_and_gives_back_guests_that_are_gone(plant: Plant) -> None:
    then = timezone.now() - timedelta(days=200)
    old = Job.objects.create(operation="test.make", state="succeeded", finished_at=then)
    young = Job.objects.create(operation="test.make", state="succeeded", finished_at=timezone.now())
    Job.objects.filter(pk=old.pk).update(created_at=then)
    host = Host.objects.create(name="alpha", transport="test", status="live")
    Ownership.objects.create(user=plant.user, host=host, uuid=uuid.uuid4(), vcpus=2)
    worker = plant.worker()
    plant.until(lambda: not Job.objects.filter(pk=old.pk).exists(), 20, "the old job is gone")
    assert Job.objects.filter(pk=young.pk).exists()
    assert Ownership.objects.exists(), "no comparison has confirmed it yet"
    Host.objects.update(generation=2)
    plant.until(lambda: not Ownership.objects.exists(), 50, "what the guest had is given back")
    assert worker.poll() is None
