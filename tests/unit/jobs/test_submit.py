"""What becomes a job, and what is refused with which error."""

from __future__ import annotations

import pytest
from django.utils import translation

from dashboard.accounts.models import AuditEntry, User
from dashboard.inventory.models import Guest, Host
from dashboard.jobs import service
from dashboard.jobs.errors import Denied, HostNotLive, Invalid, Locked, NotCancellable, Refused
from dashboard.jobs.models import Job
from tests.unit.jobs.conftest import Declare, Sized


def test_a_wish_becomes_a_waiting_job_with_its_plan_steps_and_command(
    declare: Declare, operator: User, guest: Guest
) -> None:
    declare(params=Sized, plan=lambda target, params: {"volume": f"{params.name}.qcow2"})
    job = service.submit(
        user=operator, operation="test.do", target=guest, params={"name": "a", "size": "3"}, source_ip="192.0.2.1"
    )
    job.refresh_from_db()
    assert (job.state, job.object_kind, job.object_key, job.object_name) == ("queued", "guest", str(guest.uuid), "web1")
    assert job.params == {"name": "a", "size": 3, "tags": []}
    assert job.plan == {"volume": "a.qcow2"}
    assert job.steps == ["First step", "Second step"]
    assert job.virsh == "virsh test web1"
    assert job.host_name == "alpha"
    assert job.lock == f"guest:{guest.host_id}:{guest.uuid}"


def test_a_job_starts_with_one_audit_entry(declare: Declare, operator: User, guest: Guest) -> None:
    declare()
    job = service.submit(user=operator, operation="test.do", target=guest, source_ip="192.0.2.1")
    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.action, entry.phase, entry.job_id) == (operator, "test.do", "start", job.pk)
    assert entry.source_ip == "192.0.2.1"


def test_a_viewer_is_denied_and_the_attempt_is_written_down(declare: Declare, viewer: User, guest: Guest) -> None:
    declare()
    with pytest.raises(Denied):
        service.submit(user=viewer, operation="test.do", target=guest)
    assert not Job.objects.exists()
    assert AuditEntry.objects.get().phase == "denied"


@pytest.mark.parametrize(
    ("params", "field", "text"),
    [
        ({}, "name", "This field is required."),
        ({"name": ""}, "name", "Enter at least 1 characters."),
        ({"name": "far too long"}, "name", "Enter at most 8 characters."),
        ({"name": "a/b"}, "name", "No slash, please."),
        ({"name": "a", "size": 11}, "size", "Enter at most 10."),
        ({"name": "a", "size": "x"}, "size", "Enter a whole number."),
        ({"name": "a", "tags": ["x", 3]}, "tags.1", "Enter text."),
        ({"name": "a", "colour": "red"}, "colour", "There is no such field."),
    ],
)
def test_wrong_parameters_are_told_field_by_field(
    declare: Declare, operator: User, guest: Guest, params: dict[str, object], field: str, text: str
) -> None:
    declare(params=Sized)
    with pytest.raises(Invalid) as caught:
        service.submit(user=operator, operation="test.do", target=guest, params=params)
    assert caught.value.errors == {field: [text]}
    assert not Job.objects.exists()


def test_the_database_check_tells_its_errors_by_field_too(declare: Declare, operator: User, guest: Guest) -> None:
    declare(params=Sized, check=lambda user, target, params: {"name": [f"{params.name} is taken"]})
    with pytest.raises(Invalid) as caught:
        service.submit(user=operator, operation="test.do", target=guest, params={"name": "a"})
    assert caught.value.errors == {"name": ["a is taken"]}


def test_what_does_not_fit_the_state_is_refused_with_the_reason(declare: Declare, operator: User, guest: Guest) -> None:
    declare(refuse=lambda target, params: f"{target.name} is {target.state}.")
    with pytest.raises(Refused) as caught:
        service.submit(user=operator, operation="test.do", target=guest)
    assert caught.value.reason == "web1 is shutoff."


def test_nothing_is_changed_on_a_host_that_does_not_answer(declare: Declare, operator: User, guest: Guest) -> None:
    declare()
    Host.objects.update(status="down")
    guest.refresh_from_db()
    with pytest.raises(HostNotLive):
        service.submit(user=operator, operation="test.do", target=guest)
    declare("test.offline", offline=True)
    assert service.submit(user=operator, operation="test.offline", target=guest).state == "queued"


def test_a_second_job_on_the_same_guest_names_the_first(declare: Declare, operator: User, guest: Guest) -> None:
    declare()
    declare("test.other")
    first = service.submit(user=operator, operation="test.do", target=guest)
    with pytest.raises(Locked) as caught:
        service.submit(user=operator, operation="test.other", target=guest)
    assert caught.value.job == first
    Job.objects.update(state="failed")
    assert service.submit(user=operator, operation="test.other", target=guest) != first


def test_the_index_refuses_a_second_job_that_slipped_past_the_check(
    declare: Declare, operator: User, guest: Guest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two at once: both look before either writes."""
    first: list[Job] = []

    def race(user: User, target: Guest, params: object) -> dict[str, list[str]]:
        if not first:
            first.append(Job.objects.create(operation="test.do", lock=f"guest:{guest.host_id}:{guest.uuid}"))
        return {}

    declare(check=race)
    with pytest.raises(Locked) as caught:
        service.submit(user=operator, operation="test.do", target=guest)
    assert caught.value.job == first[0]
    assert not AuditEntry.objects.exists()


def test_what_locks_nothing_runs_beside_others(declare: Declare, operator: User, guest: Guest) -> None:
    declare(locks=False)
    assert service.submit(user=operator, operation="test.do", target=guest) != service.submit(
        user=operator, operation="test.do", target=guest
    )


def test_an_operation_may_lock_a_name_in_place_of_its_target(declare: Declare, operator: User, host: Host) -> None:
    declare(target="host", params=Sized, lock_for=lambda target, params: f"guest-name:{target.pk}:{params.name}")
    service.submit(user=operator, operation="test.do", target=host, params={"name": "a"})
    service.submit(user=operator, operation="test.do", target=host, params={"name": "b"})
    with pytest.raises(Locked):
        service.submit(user=operator, operation="test.do", target=host, params={"name": "a"})


def test_the_same_key_gives_the_same_job_even_when_the_state_has_moved_on(
    declare: Declare, operator: User, guest: Guest
) -> None:
    declare(refuse=lambda target, params: "It is running already." if Job.objects.exists() else None)
    first = service.submit(user=operator, operation="test.do", target=guest, idempotency_key="k1")
    assert service.submit(user=operator, operation="test.do", target=guest, idempotency_key="k1") == first
    assert AuditEntry.objects.count() == 1


def test_a_key_is_each_persons_own(declare: Declare, operator: User, guest: Guest) -> None:
    declare(locks=False)
    other = User.objects.create_user("otto", role="operator")
    first = service.submit(user=operator, operation="test.do", target=guest, idempotency_key="k1")
    assert service.submit(user=other, operation="test.do", target=guest, idempotency_key="k1") != first


def test_a_key_used_for_something_else_is_an_error(declare: Declare, operator: User, guest: Guest) -> None:
    declare(locks=False)
    declare("test.other", locks=False)
    service.submit(user=operator, operation="test.do", target=guest, idempotency_key="k1")
    with pytest.raises(Invalid):
        service.submit(user=operator, operation="test.other", target=guest, idempotency_key="k1")


def test_errors_come_in_the_persons_language(
    declare: Declare, operator: User, guest: Guest, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(params=Sized)
    monkeypatch.setattr(
        "dashboard.jobs.wording.gettext", lambda text: {"This field is required.": "必填。"}.get(text, text)
    )
    with translation.override("zh-hans"), pytest.raises(Invalid) as caught:
        service.submit(user=operator, operation="test.do", target=guest, params={})
    assert caught.value.errors == {"name": ["必填。"]}


def test_a_waiting_job_is_cancelled_at_once_and_the_audit_says_by_whom(
    declare: Declare, operator: User, guest: Guest
) -> None:
    declare()
    boss = User.objects.create_user("boss", role="administrator")
    job = service.submit(user=operator, operation="test.do", target=guest)
    assert service.cancel(boss, job, source_ip="192.0.2.9").state == "cancelled"
    told = AuditEntry.objects.order_by("at").values_list("actor_name", "action", "phase", "source_ip")
    assert list(told) == [
        ("olga", "test.do", "start", ""),
        ("boss", "job.cancel", "event", "192.0.2.9"),
        ("olga", "test.do", "end", ""),
    ]
    with pytest.raises(NotCancellable):
        service.cancel(operator, job)
    assert AuditEntry.objects.count() == 3


def test_a_running_job_is_cancelled_only_if_its_operation_says_so(
    declare: Declare, operator: User, guest: Guest
) -> None:
    declare()
    job = service.submit(user=operator, operation="test.do", target=guest)
    Job.objects.update(state="running")
    with pytest.raises(NotCancellable):
        service.cancel(operator, job)
    declare("test.long", cancellable=True)
    Job.objects.update(operation="test.long")
    job.refresh_from_db()
    assert service.cancel(operator, job).cancel_requested


def test_a_viewer_cancels_nothing(declare: Declare, operator: User, viewer: User, guest: Guest) -> None:
    declare()
    job = service.submit(user=operator, operation="test.do", target=guest)
    with pytest.raises(Denied):
        service.cancel(viewer, job)


def test_a_failed_job_may_be_tried_again_with_its_parameters(declare: Declare, operator: User, guest: Guest) -> None:
    declare(params=Sized)
    job = service.submit(user=operator, operation="test.do", target=guest, params={"name": "a"})
    with pytest.raises(Refused):
        service.retry(operator, job)
    Job.objects.update(state="failed")
    job.refresh_from_db()
    again = service.retry(operator, job)
    assert again != job
    assert again.params == job.params


def test_an_empty_key_is_no_key(declare: Declare, operator: User, guest: Guest) -> None:
    declare(locks=False)
    first = service.submit(user=operator, operation="test.do", target=guest, idempotency_key="")
    second = service.submit(user=operator, operation="test.do", target=guest, idempotency_key="")
    assert first.pk != second.pk
    assert first.idempotency_key is None


def test_a_job_of_a_forgotten_host_is_not_tried_again_on_another_that_has_the_same_guest(
    declare: Declare, operator: User, guest: Guest
) -> None:
    declare()
    job = service.submit(user=operator, operation="test.do", target=guest)
    Job.objects.filter(pk=job.pk).update(state=Job.State.FAILED)
    twin = Host.objects.create(name="beta", transport="test", status="live")
    Guest.objects.create(host=twin, uuid=guest.uuid, name="web1", state="shutoff")
    guest.host.delete()
    job.refresh_from_db()
    with pytest.raises(Refused):
        service.retry(operator, job)
