"""Every operation on a guest, on a real libvirt: what it does there, and that doing it twice is harmless."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dashboard.jobs.errors import Refused
from dashboard.jobs.models import Job
from tests.integration.guests.conftest import House
from tests.lab.guests import LabGuest

Make = Callable[..., LabGuest]


@pytest.fixture
def guest(house: House, make_guest: Make) -> LabGuest:
    return make_guest(house.lab, diskless=True)


@pytest.fixture
def running(house: House, make_guest: Make) -> LabGuest:
    return make_guest(house.lab, diskless=True, start=True)


def again(house: House, job: Job) -> Job:
    """The same job once more from its first step, as after a crash of its worker."""
    Job.objects.filter(pk=job.pk).update(state=Job.State.QUEUED, step=0, lease_until=None, finished_at=None)
    job = house.run(job)
    assert job.state == Job.State.SUCCEEDED, (job.error, job.error_detail)
    return job


def test_start_and_force_off(house: House, guest: LabGuest) -> None:
    job = house.done("guest.start", guest)
    assert house.state(guest) == "running"
    again(house, job)
    job = house.done("guest.force_off", guest)
    assert house.state(guest) == "shut off"
    again(house, job)


def test_start_paused_and_resume(house: House, guest: LabGuest) -> None:
    house.done("guest.start", guest, paused=True)
    assert house.state(guest) == "paused"
    house.done("guest.resume", guest)
    assert house.state(guest) == "running"


def test_pause_and_resume(house: House, running: LabGuest) -> None:
    again(house, house.done("guest.pause", running))
    assert house.state(running) == "paused"
    again(house, house.done("guest.resume", running))
    assert house.state(running) == "running"


def test_reset_reboot_and_nmi_leave_it_running(house: House, running: LabGuest) -> None:
    for operation in ("guest.reset", "guest.reboot", "guest.nmi"):
        house.done(operation, running)
        assert house.state(running) == "running", operation


def test_a_guest_that_ignores_the_request_makes_the_job_fail_and_offers_force_off(
    house: House, running: LabGuest
) -> None:
    job = house.do("guest.shutdown", running, deadline=5)
    assert job.state == Job.State.FAILED
    assert job.error_code == "timeout"
    assert "still running" in job.error
    assert job.result["offer"] == "guest.force_off"
    assert house.state(running) == "running"


def test_it_can_be_forced_off_while_a_shutdown_waits(house: House, running: LabGuest) -> None:
    from dashboard.jobs import service

    waiting = service.submit(user=house.user, operation="guest.shutdown", target=house.guest(running), params={})
    house.done("guest.force_off", running)
    assert house.run(waiting).state == Job.State.SUCCEEDED


def test_a_guest_that_shuts_down_by_itself_ends_the_job(house: House, make_guest: Make, tiny_images: object) -> None:
    guest = make_guest(house.lab, tiny=tiny_images, start=True)
    guest.wait_for_line("TINY READY")
    house.done("guest.shutdown", guest, mode="acpi")
    assert house.state(guest) == "shut off"


def test_save_restore_and_discard(house: House, running: LabGuest) -> None:
    again(house, house.done("guest.save", running))
    assert house.state(running) == "shut off"
    assert house.guest(running).saved
    with pytest.raises(Refused):
        house.do("guest.start", running)
    house.done("guest.restore", running)
    assert house.state(running) == "running"
    house.done("guest.save", running)
    again(house, house.done("guest.discard_saved", running))
    assert not house.guest(running).saved


def test_autostart_on_and_off(house: House, guest: LabGuest) -> None:
    house.done("guest.autostart", guest, enabled=True)
    assert "Autostart:      enable" in guest.virsh("dominfo")
    house.done("guest.autostart", guest, enabled=False)
    assert "Autostart:      disable" in guest.virsh("dominfo")


def test_rename(house: House, guest: LabGuest) -> None:
    again(house, house.done("guest.rename", guest, name=f"{guest.name}-new"))
    assert f"{guest.name}-new" in house.names()
    assert house.guest(guest).name == f"{guest.name}-new"


def test_rename_to_a_name_that_virsh_gave_away_meanwhile_fails_plainly(
    house: House, guest: LabGuest, make_guest: Make
) -> None:
    from dashboard.jobs import service

    job = service.submit(user=house.user, operation="guest.rename", target=house.guest(guest), params={"name": "taken"})
    make_guest(house.lab, "taken", diskless=True)
    assert house.run(job).error_code == "exists"


@pytest.mark.parametrize("state", ["off", "running"])
def test_title_description_and_tags(house: House, guest: LabGuest, state: str) -> None:
    if state == "running":
        guest.virsh("start")
    text = 'Two lines\n<b>&"quotes"\' 中文'
    house.done("guest.title", guest, title='A "title" <x>')
    house.done("guest.description", guest, description=text)
    house.done("guest.tags", guest, tags=["prod", "web", "prod"])
    found = house.guest(guest)
    assert (found.title, found.description, found.tags) == ('A "title" <x>', text, ["prod", "web"])
    for operation, params in (("guest.title", {}), ("guest.description", {}), ("guest.tags", {})):
        house.done(operation, guest, **params)
    found = house.guest(guest)
    assert (found.title, found.description, found.tags) == ("", "", [])


def test_the_equivalent_commands_are_what_virsh_understands(house: House, guest: LabGuest) -> None:
    """Each command line, run by a shell, does what the operation did."""
    import shlex

    jobs = [
        house.done("guest.title", guest, title="It's $HOME"),
        house.done("guest.description", guest, description="a 'b' \"c\""),
        house.done("guest.tags", guest, tags=["prod"]),
        house.done("guest.autostart", guest, enabled=True),
        house.done("guest.autostart", guest, enabled=False),
        house.done("guest.start", guest, paused=True),
        house.done("guest.resume", guest),
        house.done("guest.pause", guest),
        house.done("guest.force_off", guest),
    ]
    found = house.guest(guest)
    guest.virsh("desc", "--title", "--new-desc", "")
    guest.virsh("desc", "--new-desc", "")
    guest.virsh("metadata", "urn:kvmweb:guest:1", "--remove")
    for job in jobs:
        words = shlex.split(job.virsh)
        assert words[0] == "virsh"
        house.lab.virsh(*words[1:])
    after = house.guest(guest)
    assert (after.title, after.description, after.tags) == (found.title, found.description, found.tags)


def test_a_guest_whose_name_looks_like_an_option_or_a_number_can_be_worked_on(house: House, make_guest: Make) -> None:
    import shlex

    for name in ("7", "web'1"):
        guest = make_guest(house.lab, name, diskless=True)
        job = house.done("guest.start", guest)
        house.lab.virsh("destroy", guest.uuid)
        house.lab.virsh(*shlex.split(job.virsh)[1:])
        assert house.state(guest.uuid) == "running"
        house.done("guest.force_off", guest)


def test_every_job_leaves_its_audit_entries(house: House, guest: LabGuest) -> None:
    from dashboard.accounts.models import AuditEntry

    house.done("guest.start", guest)
    phases = AuditEntry.objects.filter(action="guest.start").values_list("phase", "result")
    assert sorted(phases) == [("end", "succeeded"), ("start", "")]
