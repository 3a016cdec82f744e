"""A backup made while jobs run, restored on another machine whose hosts have moved on meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dashboard.accounts.models import AuditEntry
from dashboard.inventory.models import Guest, Host
from dashboard.inventory.rows import guest_row
from dashboard.jobs import service
from dashboard.jobs.models import Job
from tests.integration.inventory.mirror import Mirror
from tests.integration.jobs.conftest import Plant
from tests.integration.upkeep.conftest import Make
from tests.integration.upkeep.installation import Installation
from tests.lab.database import Database
from tests.lab.guests import LabGuest
from tests.lab.hosts import LabHost
from tests.lab.redis import RedisServer

THREADS = 8


def test_after_a_restore_the_view_is_what_hosts_say_and_no_old_job_runs(
    tmp_path: Path,
    own_database: Database,
    installation: Make,
    redis_server: RedisServer,
    lab_host: LabHost,
    make_guest: Callable[..., LabGuest],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with redis_server.client() as client:
        client.flushall()
    goes, stays, waits = (make_guest(lab_host, name, start=name != "waits") for name in ("goes", "stays", "waits"))
    first = Mirror(tmp_path / "state", own_database, redis_server)
    monkeypatch.setenv("KVMWEB_STATE_DIR", str(first.state))
    monkeypatch.setenv("KVMWEB_DATABASE_URL", own_database.url)
    plant = Plant(tmp_path, redis_server)
    try:
        first.monitor()
        host = first.live(first.add(lab_host))
        guest = first.guest(waits.uuid)
        queued = busy_until_backed_up(plant, guest, first, tmp_path / "backup.tar.gz")
        # The machine is lost, and the host moves on without it.
        plant.stop()
        first.stop()
    finally:
        plant.stop()
        first.stop()
    goes.remove()
    stays.virsh("destroy")
    lab_host.virsh("domrename", stays.uuid, "renamed")
    make_guest(lab_host, "newcomer", start=True)
    if waits.virsh("domstate") == "running":
        waits.virsh("destroy")
    effects = plant.calls()
    second = installation("second")
    said = second.done("restore", tmp_path / "backup.tar.gz")
    assert f"{THREADS + 1} jobs had not ended" in said
    with second.database.as_default():
        nothing_looks_fresh(host, goes)
        comes_to_the_truth(second, redis_server, lab_host, host, monkeypatch, plant)
        assert plant.calls() == effects
        assert waits.virsh("domstate") == "shut off"
        again = service.submit(
            user=queued.created_by, operation="guest.start", target=Guest.objects.get(uuid=waits.uuid),
            idempotency_key="only-once",
        )  # fmt: skip
        assert again.pk == queued.pk
        assert AuditEntry.objects.filter(action="kvmweb.restore").exists()


def busy_until_backed_up(plant: Plant, guest: Guest, first: Mirror, target: Path) -> Job:
    """Eight jobs run and one waits behind them while the backup is made; then all of them end."""
    hold = plant.trap("hold-after-two")
    plant.worker()
    held = [plant.submit(tail=f"t{number}") for number in range(THREADS)]
    plant.until(lambda: plant.calls().count("make two") == THREADS, 30, "all threads are busy")
    queued = service.submit(user=plant.user, operation="guest.start", target=guest, idempotency_key="only-once")
    Installation(first.state, first.database).done("backup", target)
    assert Job.objects.get(pk=queued.pk).state == Job.State.QUEUED
    hold.unlink()
    for job in (*held, queued):
        assert plant.ended(job, 60).state == "succeeded"
    return queued


def nothing_looks_fresh(host: Host, gone: LabGuest) -> None:
    assert Host.objects.get(pk=host.pk).status == Host.Status.CONNECTING
    remembered = Guest.objects.select_related("host").get(uuid=gone.uuid)
    assert guest_row(remembered)["state"] == "unknown"
    assert not Job.objects.filter(state__in=Job.ACTIVE).exists()
    assert Job.objects.filter(error_code="restored").count() == THREADS + 1


def comes_to_the_truth(
    second: Installation,
    redis: RedisServer,
    lab_host: LabHost,
    host: Host,
    monkeypatch: pytest.MonkeyPatch,
    plant: Plant,
) -> None:
    """Start what looks and what works; wait until the mirror is the host's own list, and a while longer for old jobs."""
    monkeypatch.setenv("KVMWEB_STATE_DIR", str(second.state))
    monkeypatch.setenv("KVMWEB_DATABASE_URL", second.database.url)
    mirror = Mirror(second.state, second.database, redis)
    try:
        plant.worker()
        mirror.monitor()
        mirror.live(host)
        truth = set(lab_host.virsh("list", "--all", "--name").split())
        assert {"newcomer", "renamed", "waits"} <= truth
        assert {guest.name for guest in Guest.objects.filter(host=host)} == truth
        for guest in Guest.objects.filter(host=host):
            running = lab_host.virsh("domstate", str(guest.uuid)) == "running"
            assert (guest.state == "running") is running, guest.name
        time.sleep(8)  # two looks of the reconciler for work
    finally:
        mirror.stop()
        plant.stop()
