"""Which jobs a guest's page lists."""

from __future__ import annotations

import uuid

import pytest

from dashboard.accounts.models import User
from dashboard.guests.queries import jobs_of
from dashboard.inventory.models import Guest, Host
from dashboard.jobs.models import Job

pytestmark = pytest.mark.django_db


def test_the_job_that_made_a_guest_stands_on_its_page() -> None:
    host = Host.objects.create(name="alpha", transport="local")
    guest = Guest.objects.create(host=host, uuid=uuid.uuid4(), name="web1", state="running")
    anna = User.objects.create_user("anna", role="administrator")
    made = Job.objects.create(
        operation="guest.create", host=host, object_kind="host", object_key=str(host.pk), plan={"uuid": str(guest.uuid)}
    )
    started = Job.objects.create(operation="guest.start", host=host, object_kind="guest", object_key=str(guest.uuid))
    Job.objects.create(operation="guest.create", host=host, object_kind="host", plan={"uuid": str(uuid.uuid4())})
    assert {job.pk for job in jobs_of(anna, guest)} == {made.pk, started.pk}
