"""Whose jobs one sees and may touch by grants on hosts, tags and guests, and rights that end before a job begins."""

from __future__ import annotations

import threading
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from dashboard.accounts import tokens
from dashboard.accounts.models import Grant, Role, User
from dashboard.inventory.models import Guest, Host
from dashboard.jobs import context, runner, service
from dashboard.jobs.errors import Denied
from dashboard.jobs.models import Job
from dashboard.jobs.operation import Step
from dashboard.jobs.queries import visible_jobs
from tests.unit.jobs.conftest import Declare

pytestmark = pytest.mark.django_db


@pytest.fixture
def ben() -> User:
    return User.objects.create_user("ben")


@pytest.fixture
def tagged(host: Host) -> Guest:
    return Guest.objects.create(
        host=host, uuid=uuid.uuid4(), name="tagged", state="running", tags=["Web"], tags_text=" Web "
    )


def fresh(person: User) -> User:
    return User.objects.get(pk=person.pk)


def job_on(guest: Guest, by: User | None = None, **more: Any) -> Job:
    return Job.objects.create(
        operation="guest.start", host=guest.host, object_kind="guest", object_key=str(guest.uuid), object_name=guest.name, created_by=by, **more
    )  # fmt: skip


def names(person: User) -> list[str]:
    return sorted(visible_jobs(fresh(person)).values_list("object_name", flat=True))


# -- whose jobs one sees


def test_jobs_are_seen_where_job_view_was_granted_and_ones_own_everywhere(
    ben: User, operator: User, guest: Guest, tagged: Guest
) -> None:
    other = Host.objects.create(name="beta", transport="test", status="live")
    twin = Guest.objects.create(host=other, uuid=tagged.uuid, name="twin", state="running")
    for one in (guest, tagged, twin):
        job_on(one, operator)
    job_on(twin, ben, message="mine")
    Job.objects.create(
        operation="host.check", host=guest.host, object_kind="host", object_name="alpha", created_by=operator
    )
    assert names(ben) == ["twin"]
    grant = Grant.objects.create(user=ben, role="operator", place="tag", key="web")
    assert names(ben) == ["tagged", "twin"]
    Grant.objects.filter(pk=grant.pk).update(place="guest", key=f"{guest.host_id}/{guest.uuid}")
    assert names(ben) == ["twin", "web1"]
    Grant.objects.filter(pk=grant.pk).update(place="host", key=str(other.pk))
    assert names(ben) == ["twin", "twin"]
    Grant.objects.filter(pk=grant.pk).update(place="host", key=str(guest.host_id))
    assert names(ben) == ["alpha", "tagged", "twin", "web1"]
    Grant.objects.filter(pk=grant.pk).update(role="viewer")
    assert names(ben) == ["twin"], "a viewer sees nobody else's"
    assert len(names(operator)) == 5


def test_who_sees_a_job_by_a_tag_may_cancel_it_and_others_find_nothing(
    declare: Declare, ben: User, operator: User, guest: Guest, tagged: Guest, settings: Any
) -> None:
    declare()
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = {**settings.STORAGES, "staticfiles": plain}
    Grant.objects.create(user=ben, role="operator", place="tag", key="web")
    seen, foreign = (service.submit(user=operator, operation="test.do", target=one) for one in (tagged, guest))
    client = Client(HTTP_HOST="127.0.0.1")
    client.force_login(ben, backend="allauth.account.auth_backends.AuthenticationBackend")
    accept = {"Accept": "application/json"}
    assert client.post(f"/jobs/{seen.pk}/cancel/", headers=accept).status_code == 202
    for pk in (foreign.pk, uuid.uuid4()):
        for path in ("", "cancel/", "retry/"):
            send = client.get if not path else client.post
            assert send(f"/jobs/{pk}/{path}", headers=accept).status_code == 404
    assert [row["object_name"] for row in client.get("/api/v1/jobs").json()["items"]] == ["tagged"]
    assert Job.objects.get(pk=foreign.pk).state == "queued"


def test_a_token_sees_its_own_jobs_and_of_its_owners_what_its_scope_covers(
    operator: User, guest: Guest, tagged: Guest
) -> None:
    token, text = tokens.issue(operator, "narrow", role="operator", place="tag", key="web")
    by_token, elsewhere = job_on(guest, operator, token=token), job_on(guest, operator)
    covered = job_on(tagged)
    user = tokens.authenticate(text)
    assert user is not None
    assert set(visible_jobs(user)) == {by_token, covered}
    assert elsewhere in visible_jobs(fresh(operator))


# -- WEB-2: what was taken away before it began


@pytest.fixture
def libvirt(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every connection that a job asks for."""
    asked: list[str] = []

    def borrow(*args: Any, **kwargs: Any) -> Any:
        asked.append("connection")
        raise AssertionError("libvirt was called")

    monkeypatch.setattr(context.pool, "borrow", borrow)
    return asked


def touching(ctx: Any) -> None:
    """A step that needs libvirt."""
    assert ctx.conn


def run(job: Job) -> Job:
    runner.run(job.pk, threading.Event())
    job.refresh_from_db()
    return job


def lose_grant(person: User) -> None:
    Grant.objects.filter(user=person).delete()


def lose_sign_in(person: User) -> None:
    User.objects.filter(pk=person.pk).update(is_active=False)


def lose_by_role(person: User) -> None:
    Role.objects.create(slug="lesser", permissions=["guest.view"])
    Grant.objects.filter(user=person).update(role="lesser")


def lose_by_tag(person: User) -> None:
    Guest.objects.update(tags=[], tags_text="")


def lose_person(person: User) -> None:
    Job.objects.update(created_by=None)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("lose", [lose_grant, lose_sign_in, lose_by_role, lose_by_tag, lose_person])
def test_a_right_that_ends_before_the_job_begins_ends_the_job_without_a_call_to_libvirt(
    declare: Declare, ben: User, tagged: Guest, libvirt: list[str], lose: Any
) -> None:
    declare(steps=[Step("one", "First step", touching, touching)])
    Grant.objects.create(user=ben, role="operator", place="tag", key="web")
    job = service.submit(user=fresh(ben), operation="test.do", target=tagged)
    lose(ben)
    run(job)
    assert (job.state, job.error_code) == ("failed", "denied")
    assert not libvirt


@pytest.mark.django_db(transaction=True)
def test_without_a_loss_the_same_job_does_ask_for_libvirt(
    declare: Declare, ben: User, tagged: Guest, libvirt: list[str]
) -> None:
    declare(steps=[Step("one", "First step", touching)])
    Grant.objects.create(user=ben, role="operator", place="tag", key="web")
    job = run(service.submit(user=fresh(ben), operation="test.do", target=tagged))
    assert libvirt and job.error_code == "internal"


def revoke(token: Any) -> None:
    tokens.revoke(token, actor=token.user)


def expire(token: Any) -> None:
    type(token).objects.filter(pk=token.pk).update(expires_at=timezone.now() - timedelta(seconds=1))


def narrow(token: Any) -> None:
    type(token).objects.filter(pk=token.pk).update(place="tag", key="other")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("end", [revoke, expire, narrow])
def test_a_token_that_ends_before_its_job_begins_ends_the_job(
    declare: Declare, operator: User, tagged: Guest, libvirt: list[str], end: Any
) -> None:
    declare(steps=[Step("one", "First step", touching)])
    token, text = tokens.issue(operator, "script")
    user = tokens.authenticate(text)
    assert user is not None
    job = service.submit(user=user, operation="test.do", target=tagged)
    assert job.token == token
    end(token)
    run(job)
    assert (job.state, job.error_code) == ("failed", "denied")
    assert not libvirt


def test_a_token_may_do_no_more_than_its_scope(declare: Declare, operator: User, guest: Guest, tagged: Guest) -> None:
    declare()
    _token, text = tokens.issue(operator, "narrow", place="tag", key="web")
    user = tokens.authenticate(text)
    assert user is not None
    with pytest.raises(Denied):
        service.submit(user=user, operation="test.do", target=guest)
    assert service.submit(user=user, operation="test.do", target=tagged).state == "queued"


@pytest.mark.django_db(transaction=True)
def test_a_job_that_removed_its_guest_is_brought_to_its_end_by_who_had_it_by_a_tag(
    declare: Declare, ben: User, tagged: Guest
) -> None:
    """Its worker died after the guest was gone; the tags, and with them the right, went along."""
    done: list[str] = []
    declare(
        steps=[
            Step("gone", "First step", lambda ctx: None),
            Step("rest", "Second step", lambda ctx: done.append("rest")),
        ]
    )
    Grant.objects.create(user=ben, role="operator", place="tag", key="web")
    job = service.submit(user=fresh(ben), operation="test.do", target=tagged)
    tagged.delete()
    Job.objects.filter(pk=job.pk).update(state="running", step=1, attempt=1, holder="", lease_until=None)
    assert run(job).state == "succeeded" and done == ["rest"]
    again = Job.objects.create(
        operation="test.do",
        object_kind="guest",
        object_key=job.object_key,
        host=job.host,
        created_by=ben,
        steps=job.steps,
    )
    lose_grant(ben)
    Job.objects.filter(pk=again.pk).update(state="running", step=1, attempt=1)
    assert run(again).error_code == "denied"
