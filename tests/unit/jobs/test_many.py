"""One wish for many guests: a parent that nobody runs, a child for each guest, a result for each, one end."""

from __future__ import annotations

import threading
import uuid
from typing import Any

import pytest
from django.utils.translation import override

from dashboard.accounts.models import AuditEntry, Grant, User
from dashboard.inventory.models import Guest, Host
from dashboard.jobs import family, lease, many, queries, reconciler, service
from dashboard.jobs.errors import Denied, Invalid, NotCancellable, Refused
from dashboard.jobs.models import Job
from dashboard.jobs.operation import Many
from dashboard.jobs.rows import job_row, job_row_for_all
from tests.unit.jobs.conftest import Declare, Sized


@pytest.fixture
def guests(host: Host) -> list[Guest]:
    return [
        Guest.objects.create(host=host, uuid=uuid.uuid4(), name=f"web{number}", state="shutoff") for number in range(5)
    ]


@pytest.fixture
def beta(db: None) -> Host:
    return Host.objects.create(name="beta", transport="test", status="live")


def submit(user: User, targets: list[Guest], operation: str = "test.do", **more: Any) -> Job:
    job = many.submit(user=user, operation=operation, targets=targets, **more)
    family.settle(job.pk)  # what is told after the commit; a test has none
    job.refresh_from_db()
    return job


def claim(job: Job, holder: str = "me") -> lease.Hold | None:
    return lease.claim(job.pk, holder, threading.Event())


def finish(job: Job, state: str = "succeeded", **fields: Any) -> None:
    hold = claim(job)
    assert hold is not None
    hold.finish(state, **fields)


def children(parent: Job) -> list[Job]:
    return list(parent.children.order_by("object_name"))


def phases(job: Job) -> list[str]:
    return list(
        AuditEntry.objects.filter(job_id=job.pk)
        .exclude(phase="event")
        .order_by("at", "phase")
        .values_list("phase", flat=True)
    )


def one_start_and_one_end() -> None:
    for job in Job.objects.all():
        assert sorted(phases(job)) == ["end", "start"], job
        assert job.state not in Job.ACTIVE


# -- submit


def test_each_guest_gets_a_job_of_its_own_and_the_parent_stands_for_them(
    declare: Declare, operator: User, guests: list[Guest]
) -> None:
    declare(many=Many())
    parent = submit(operator, guests, source_ip="192.0.2.7")
    assert (parent.state, parent.queue, parent.object_kind, parent.operation) == ("running", "", "guests", "test.do")
    assert [child.object_name for child in children(parent)] == [guest.name for guest in guests]
    assert {child.state for child in children(parent)} == {"queued"}
    assert {child.lock for child in children(parent)} == {f"guest:{one.host_id}:{one.uuid}" for one in guests}
    assert {child.created_by for child in children(parent)} == {operator}
    assert AuditEntry.objects.filter(phase="start", source_ip="192.0.2.7").count() == 6
    assert parent.result["children"]["all"] == 5


def test_the_row_says_how_many_in_each_language(declare: Declare, operator: User, guests: list[Guest]) -> None:
    declare(many=Many())
    row = job_row_for_all(submit(operator, guests))
    assert row["object_name"] == "5 virtual machines"
    assert "object_name" in row["i18n"]["zh-hans"]
    assert row["parent"] is None
    assert row["children"]["queued"] == 5


def test_what_cannot_be_done_has_failed_already_and_says_why(
    declare: Declare, operator: User, host: Host, beta: Host, guests: list[Guest]
) -> None:
    declare(many=Many(), refuse=lambda target, params: "It is running already." if target.state == "running" else None)
    declare("test.other")
    runs, held, away, fits, _denied = guests
    Guest.objects.filter(pk=runs.pk).update(state="running")
    busy = service.submit(user=operator, operation="test.other", target=held)
    Host.objects.filter(pk=beta.pk).update(status="down")
    Guest.objects.filter(pk=away.pk).update(host=beta)
    person = User.objects.create_user("pat", role="viewer")
    for guest in (runs, held, away, fits):
        place = f"{beta.pk if guest is away else host.pk}/{guest.uuid}"
        Grant.objects.create(user=person, role="operator", place="guest", key=place)
    fresh = list(Guest.objects.select_related("host").order_by("name"))
    parent = submit(person, fresh)
    assert [(child.state, child.error_code) for child in children(parent)] == [
        ("failed", "state"), ("failed", "locked"), ("failed", "unreachable"), ("queued", ""), ("failed", "denied"),
    ]  # fmt: skip
    assert children(parent)[0].error == "It is running already."
    assert children(parent)[1].result == {"in_the_way": str(busy.pk)}
    assert (parent.state, parent.progress) == ("running", 0.8)
    assert sorted(phases(children(parent)[0])) == ["end", "start"]
    assert not Job.objects.filter(parent=parent, state="failed").exclude(lock="").exists()


def test_reasons_are_kept_in_english_whoever_asked(declare: Declare, operator: User, guests: list[Guest]) -> None:
    from django.utils.translation import gettext_lazy

    declare(many=Many(), refuse=lambda target, params: gettext_lazy("It is running already."))
    with override("zh-hans"):
        parent = submit(operator, guests)
        assert {child.error for child in children(parent)} == {"It is running already."}
        assert job_row(children(parent)[0])["error"] == "它已在运行。"


def test_when_nothing_can_be_done_the_parent_has_failed_too(
    declare: Declare, operator: User, guests: list[Guest]
) -> None:
    declare(many=Many(), refuse=lambda target, params: "No.")
    parent = submit(operator, guests)
    assert (parent.state, parent.error_code) == ("failed", "some_failed")
    assert job_row(parent)["error"] == "5 of 5 failed."
    one_start_and_one_end()


def test_whoever_may_do_it_nowhere_makes_no_job(declare: Declare, viewer: User, guests: list[Guest]) -> None:
    declare(many=Many())
    with pytest.raises(Denied):
        submit(viewer, guests)
    assert not Job.objects.exists()
    assert AuditEntry.objects.get().phase == "denied"


def test_what_is_not_declared_for_many_is_not_done_to_many(
    declare: Declare, operator: User, guests: list[Guest]
) -> None:
    declare()
    with pytest.raises(KeyError):
        submit(operator, guests)


def test_parameters_are_looked_at_once_and_given_to_each(declare: Declare, operator: User, guests: list[Guest]) -> None:
    declare(many=Many(), params=Sized)
    with pytest.raises(Invalid) as caught:
        submit(operator, guests, params={"name": ""})
    assert caught.value.errors == {"name": ["Enter at least 1 characters."]}
    parent = submit(operator, guests, params={"name": "a", "size": "3"})
    assert {child.params["size"] for child in children(parent)} == {3}


def test_an_operation_may_make_other_parameters_of_them_for_each(
    declare: Declare, operator: User, guests: list[Guest]
) -> None:
    declare(many=Many(Sized, lambda guest, params: {"name": guest.name, "size": params.size}), params=Sized)
    parent = submit(operator, guests, params={"name": "x", "size": 2})
    assert [child.params["name"] for child in children(parent)] == [guest.name for guest in guests]


def test_the_number_is_confirmed(declare: Declare, operator: User, guests: list[Guest]) -> None:
    declare(many=Many())
    with pytest.raises(many.AnotherNumber) as caught:
        submit(operator, guests, number=4)
    assert caught.value.number == 5
    assert not Job.objects.exists()
    assert submit(operator, guests, number=5).children.count() == 5


def test_what_cannot_be_got_back_wants_the_number(declare: Declare, operator: User, guests: list[Guest]) -> None:
    declare(many=Many(typed=True))
    with pytest.raises(Invalid) as caught:
        submit(operator, guests)
    assert "number" in caught.value.errors
    with pytest.raises(Refused):
        submit(operator, [])


def test_the_same_key_gives_the_same_parent(declare: Declare, operator: User, guests: list[Guest]) -> None:
    declare(many=Many())
    first = submit(operator, guests, idempotency_key="k")
    assert submit(operator, guests, idempotency_key="k") == first
    assert Job.objects.count() == 6
    declare("test.other", many=Many())
    with pytest.raises(Invalid):
        submit(operator, guests, "test.other", idempotency_key="k")


def test_a_job_that_slips_in_between_costs_its_guest_and_not_the_rest(
    declare: Declare, operator: User, guests: list[Guest], monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(many=Many())
    declare("test.other")
    seen: list[dict[str, Job]] = []
    holders = many._holders

    def look(targets: list[Guest]) -> dict[str, Job]:
        found = holders(targets)
        if not seen:
            service.submit(user=operator, operation="test.other", target=guests[0])
        seen.append(found)
        return found

    monkeypatch.setattr(many, "_holders", look)
    parent = submit(operator, guests)
    assert len(seen) == 2
    assert [child.state for child in children(parent)] == ["failed", "queued", "queued", "queued", "queued"]


def test_the_command_line_is_a_loop_over_each_hosts_guests(
    declare: Declare, operator: User, beta: Host, guests: list[Guest]
) -> None:
    declare(many=Many(), virsh=lambda target, params: f"virsh start {target.name}")
    Guest.objects.filter(pk=guests[4].pk).update(host=beta, name="start")
    parent = submit(operator, list(Guest.objects.select_related("host").order_by("host__name", "name")))
    assert parent.virsh == (
        '# alpha\nfor guest in web0 web1 web2 web3; do virsh start "$guest"; done\n'
        '# beta\nfor guest in start; do virsh start "$guest"; done'
    )


def test_ten_thousand_names_are_read_from_a_file(declare: Declare, operator: User, host: Host) -> None:
    declare(many=Many(), virsh=lambda target, params: f"virsh start {target.name}")
    Guest.objects.bulk_create(
        Guest(host=host, uuid=uuid.uuid4(), name=f"g{number}", state="shutoff") for number in range(120)
    )
    parent = submit(operator, list(Guest.objects.select_related("host")))
    assert parent.virsh == '# alpha\nwhile read -r guest; do virsh start "$guest"; done < guests-of-alpha.txt'


# -- nobody runs a parent


def test_a_parent_is_never_claimed_whatever_rings(declare: Declare, operator: User, guests: list[Guest]) -> None:
    declare(many=Many())
    parent = submit(operator, guests)
    assert claim(parent) is None
    Job.objects.filter(pk=parent.pk).update(state="queued")
    assert claim(parent) is None
    Job.objects.filter(pk=parent.pk).update(state="running")
    reconciler.bury_the_dead()
    assert not Job.objects.filter(lease.claimable(), pk=parent.pk).exists()
    parent.refresh_from_db()
    assert (parent.state, parent.attempt, parent.holder) == ("running", 0, "")


# -- turns


def test_on_a_host_only_so_many_run_at_once(
    declare: Declare, operator: User, beta: Host, guests: list[Guest], settings: Any
) -> None:
    settings.BULK_PER_HOST = 2
    declare(many=Many())
    Guest.objects.filter(pk=guests[4].pk).update(host=beta)
    parent = submit(operator, list(Guest.objects.select_related("host").order_by("name")))
    one, two, three, _four, other = children(parent)
    holds = [claim(one), claim(two)]
    assert all(holds)
    assert claim(three) is None
    assert claim(other) is not None, "another host has room"
    first = holds[0]
    assert first is not None
    first.finish("succeeded")
    assert claim(three) is not None


def test_a_child_whose_worker_died_has_its_turn_already(
    declare: Declare, operator: User, guests: list[Guest], settings: Any
) -> None:
    settings.BULK_PER_HOST = 1
    declare(many=Many())
    parent = submit(operator, guests)
    one, two = children(parent)[:2]
    hold = claim(one)
    assert hold is not None
    hold.release()
    assert claim(two) is None, "it still counts"
    assert claim(one, "another") is not None


def test_a_single_click_has_its_turn_whatever_waits(
    declare: Declare, operator: User, host: Host, guests: list[Guest], settings: Any
) -> None:
    settings.BULK_PER_HOST = 1
    declare(many=Many())
    parent = submit(operator, guests)
    assert claim(children(parent)[0]) is not None
    single = Guest.objects.create(host=host, uuid=uuid.uuid4(), name="single", state="shutoff")
    assert claim(service.submit(user=operator, operation="test.do", target=single)) is not None


@pytest.fixture
def rings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    heard: list[str] = []

    def hear(job_id: str, queue: str) -> bool:
        assert queue == "many"
        heard.append(job_id)
        return True

    monkeypatch.setattr("dashboard.jobs.doorbell.ring", hear)
    return heard


def names(rings: list[str]) -> list[str]:
    found = [Job.objects.get(pk=one).object_name for one in rings]
    rings.clear()
    return found


def test_only_those_that_have_room_are_rung_for_and_each_once(
    declare: Declare, operator: User, beta: Host, guests: list[Guest], settings: Any, rings: list[str]
) -> None:
    settings.BULK_PER_HOST = 2
    declare(many=Many())
    Guest.objects.filter(pk=guests[4].pk).update(host=beta)
    submit(operator, list(Guest.objects.select_related("host").order_by("name")))
    family.ring()
    assert sorted(names(rings)) == ["web0", "web1", "web4"]
    family.ring()
    assert names(rings) == ["web2", "web3"], "while no ring was answered, others may be"
    family.ring()
    assert names(rings) == []
    too_early = Job.objects.get(object_name="web1")
    family.not_now(too_early.pk)
    family.ring()
    assert names(rings) == ["web1"]


def test_two_parents_share_a_host(
    declare: Declare, operator: User, host: Host, guests: list[Guest], settings: Any, rings: list[str]
) -> None:
    settings.BULK_PER_HOST = 4
    declare(many=Many())
    submit(operator, guests)
    later = [Guest.objects.create(host=host, uuid=uuid.uuid4(), name=f"late{n}", state="shutoff") for n in range(2)]
    submit(operator, later)
    family.ring()
    assert names(rings) == ["web0", "late0", "web1", "late1"]


# -- progress and the end


def test_progress_is_what_has_ended(declare: Declare, operator: User, guests: list[Guest]) -> None:
    declare(many=Many())
    parent = submit(operator, guests)
    finish(children(parent)[0])
    finish(children(parent)[1], "failed", error_code="no_space", error="Full.")
    family.flush()
    parent.refresh_from_db()
    assert parent.progress == 0.4
    assert job_row(parent)["message"] == "1 of 5 done, 1 failed"


def test_pages_hear_of_a_parent_a_few_times_a_second_and_of_its_end_at_once(
    declare: Declare, operator: User, host: Host, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.BULK_PER_HOST = 100
    told: list[dict[str, Any]] = []
    monkeypatch.setattr("dashboard.jobs.news.publish_many", told.extend)
    declare(many=Many())
    guests = [Guest.objects.create(host=host, uuid=uuid.uuid4(), name=f"g{n}", state="shutoff") for n in range(30)]
    parent = submit(operator, guests)
    holds = [hold for child in children(parent) if (hold := claim(child))]
    monkeypatch.setattr(family, "TELL_EVERY", 3600.0)
    for hold in holds:
        hold.finish("succeeded")
    rows = [message["row"] for message in told if message["row"]["id"] == str(parent.pk)]
    assert [row["state"] for row in rows] == ["running", "running", "succeeded"], "submit, the first end, the last"
    assert len([message for message in told if message["row"]["parent"]]) == 30


def test_the_parent_is_done_when_all_are(declare: Declare, operator: User, guests: list[Guest]) -> None:
    declare(many=Many())
    parent = submit(operator, guests)
    for child in children(parent):
        finish(child)
    parent.refresh_from_db()
    assert (parent.state, parent.error) == ("succeeded", "")
    assert parent.finished_at is not None
    one_start_and_one_end()


def test_one_failure_fails_the_parent_in_numbers(declare: Declare, operator: User, guests: list[Guest]) -> None:
    declare(many=Many())
    parent = submit(operator, guests)
    for number, child in enumerate(children(parent)):
        finish(child, "failed" if number == 2 else "succeeded")
    parent.refresh_from_db()
    assert (parent.state, job_row(parent)["error"]) == ("failed", "1 of 5 failed.")
    assert AuditEntry.objects.get(job_id=parent.pk, phase="end").result == "failed"


def test_what_needs_attention_is_not_hidden(declare: Declare, operator: User, guests: list[Guest]) -> None:
    declare(many=Many())
    parent = submit(operator, guests[:2])
    finish(children(parent)[0], "needs_attention")
    finish(children(parent)[1])
    parent.refresh_from_db()
    assert parent.state == "needs_attention"


def test_whoever_looks_again_changes_nothing(declare: Declare, operator: User, guests: list[Guest]) -> None:
    """The last child's worker died after ending it and before it could look: the reconciler ends the parent, once."""
    declare(many=Many())
    parent = submit(operator, guests)
    parent.children.update(state="succeeded")
    for _ in range(3):
        family.settle_all()
        family.settle(parent.pk)
    parent.refresh_from_db()
    assert parent.state == "succeeded"
    assert phases(parent) == ["start", "end"]


# -- cancel and retry


def test_cancel_ends_those_that_wait_and_asks_those_that_run(
    declare: Declare, operator: User, guests: list[Guest]
) -> None:
    declare(many=Many(), cancellable=True)
    parent = submit(operator, guests)
    done, runs = children(parent)[:2]
    finish(done)
    hold = claim(runs)
    assert hold is not None
    parent.refresh_from_db()
    assert job_row(parent)["cancellable"]
    answer = service.cancel(operator, parent)
    assert (answer.state, answer.cancel_requested) == ("running", True)
    assert not job_row(answer)["cancellable"]
    assert [child.state for child in children(parent)] == ["succeeded", "running"] + ["cancelled"] * 3
    assert Job.objects.get(pk=runs.pk).cancel_requested
    with pytest.raises(NotCancellable):
        service.cancel(operator, parent)
    hold.finish("cancelled", error_code="cancelled")
    parent.refresh_from_db()
    assert parent.state == "cancelled"
    assert job_row(parent)["error"] == "Cancelled: 1 of 5 were done, 0 failed, 4 were cancelled."
    one_start_and_one_end()


def test_what_cannot_stop_half_way_is_not_asked_to(declare: Declare, operator: User, guests: list[Guest]) -> None:
    declare(many=Many())
    parent = submit(operator, guests)
    hold = claim(children(parent)[0])
    assert hold is not None
    service.cancel(operator, parent)
    assert not Job.objects.get(pk=children(parent)[0].pk).cancel_requested
    hold.finish("succeeded")
    parent.refresh_from_db()
    assert parent.state == "cancelled"


def test_one_child_may_be_cancelled_alone(declare: Declare, operator: User, guests: list[Guest]) -> None:
    declare(many=Many())
    parent = submit(operator, guests[:2])
    service.cancel(operator, children(parent)[0])
    finish(children(parent)[1])
    parent.refresh_from_db()
    assert (parent.state, job_row(parent)["error"]) == ("failed", "0 of 2 failed, 1 were cancelled.")


def test_a_viewer_cancels_nothing(declare: Declare, operator: User, viewer: User, guests: list[Guest]) -> None:
    declare(many=Many())
    parent = submit(operator, guests)
    with pytest.raises(Denied):
        service.cancel(viewer, parent)


def test_whoever_may_it_on_some_guests_only_may_cancel_what_they_began(
    declare: Declare, host: Host, guests: list[Guest]
) -> None:
    declare(many=Many())
    person = User.objects.create_user("pat")
    for guest in guests:
        Grant.objects.create(user=person, role="operator", place="guest", key=f"{host.pk}/{guest.uuid}")
    parent = submit(person, guests)
    assert service.cancel(person, parent).state == "cancelled"


def test_retry_is_about_those_that_were_not_done(declare: Declare, operator: User, guests: list[Guest]) -> None:
    declare(many=Many(), params=Sized)
    parent = submit(operator, guests, params={"name": "a", "size": 4})
    with pytest.raises(Refused):
        service.retry(operator, parent)
    for number, child in enumerate(children(parent)):
        finish(child, "succeeded" if number else "failed")
    guests[1].delete()
    parent.refresh_from_db()
    again = service.retry(operator, parent)
    assert [child.object_name for child in children(again)] == ["web0"]
    assert children(again)[0].params == {"name": "a", "size": 4, "tags": []}


def test_nothing_is_retried_when_what_failed_is_gone(declare: Declare, operator: User, guests: list[Guest]) -> None:
    declare(many=Many())
    parent = submit(operator, guests[:1])
    finish(children(parent)[0], "failed")
    guests[0].delete()
    parent.refresh_from_db()
    with pytest.raises(Refused):
        service.retry(operator, parent)


# -- lists


def test_the_drawer_and_the_list_show_the_parent_and_not_its_children(
    declare: Declare, operator: User, guests: list[Guest]
) -> None:
    declare(many=Many())
    parent = submit(operator, guests)
    assert queries.recent_jobs(operator) == [parent]
    assert list(queries.filtered(operator)) == [parent]
    assert queries.filtered(operator, search="web3").count() == 1
    assert queries.filtered(operator, parent=str(parent.pk)).count() == 5
    assert queries.filtered(operator, parent="nonsense").count() == 0
