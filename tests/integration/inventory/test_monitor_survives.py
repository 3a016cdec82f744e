"""The monitor under faults: hosts that die, hang and come back, Redis and database away, and its own death."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path

from dashboard.inventory import bus, metrics
from dashboard.inventory.models import Guest, Host
from tests.integration.inventory.mirror import Mirror, Page
from tests.lab.guests import LabGuest, TinyImages
from tests.lab.hosts import LabHost, continue_process, stop_process

Make = Callable[..., LabGuest]


def hears_host(page: Page, status: str, seconds: float = 10) -> dict[str, object]:
    message = page.hears(
        lambda one: one.get("m", {}).get("k") == "host" and one["m"]["row"].get("status") == status, seconds
    )
    return message["m"]["row"]


def test_libvirtd_killed_shows_unknown_and_changes_in_the_gap_are_found(
    mirror: Mirror, lab_host: LabHost, make_guest: Make
) -> None:
    stays = make_guest(lab_host, "stays", start=True)
    dies = make_guest(lab_host, "dies", start=True)
    mirror.web()
    mirror.monitor()
    host = mirror.live(mirror.add(lab_host))
    mirror.guest(dies.uuid, state="running")
    page = mirror.open()
    killed = time.monotonic()
    lab_host.kill_libvirtd()
    try:
        row = hears_host(page, "down", 5)
        assert time.monotonic() - killed < 3
        assert row["last_seen"]
        assert row["status_text"]
        assert page.hears_guest("stays")["row"]["state"] == "unknown"
        assert Guest.objects.get(uuid=stays.uuid).state == "running"  # what was last known is kept
        pid = lab_host.exec("pgrep", "-f", "guest=dies").split()[0]
        lab_host.exec("kill", "-9", pid)
    finally:
        lab_host.start_libvirtd()
    hears_host(page, "live", 20)
    page.hears_guest("dies", state="shutoff")
    page.hears_guest("stays", state="running")
    mirror.guest(stays.uuid, state="running")
    assert mirror.live(host).status_text == ""


def test_a_cut_host_goes_down_alone_and_comes_back(
    mirror: Mirror, lab_hosts: Callable[[int], list[LabHost]], make_guest: Make
) -> None:
    near, far = lab_hosts(2)
    guest = make_guest(near, "near", start=True)
    mirror.web()
    mirror.monitor()
    alive, lost = mirror.live(mirror.add(near)), mirror.live(mirror.add(far, transport="tcp"))
    page = mirror.open()
    far.cut()
    try:
        slowest = 0.0
        until = time.monotonic() + 25
        while Host.objects.get(pk=lost.pk).status == "live" and time.monotonic() < until:
            for command, state in (("suspend", "paused"), ("resume", "running")):
                begun = time.monotonic()
                guest.virsh(command)
                page.hears_guest("near", state=state, seconds=3)
                slowest = max(slowest, time.monotonic() - begun)
        assert Host.objects.get(pk=lost.pk).status == "down"
        assert Host.objects.get(pk=alive.pk).status == "live"
        print(f"slowest change on the other host meanwhile: {slowest * 1000:.0f} ms")
        assert slowest < 1.5
    finally:
        far.uncut()
    mirror.live(lost, 45)


def test_a_host_that_swallows_packets_delays_no_other_and_no_start(
    mirror: Mirror, lab_hosts: Callable[[int], list[LabHost]]
) -> None:
    near, far = lab_hosts(2)
    far.drop(16509)
    try:
        for number in range(10):
            mirror.add(far, f"silent{number}", "tcp")
        mirror.monitor()
        begun = time.monotonic()
        mirror.live(mirror.add(near), 10)
        print(f"live beside ten silent hosts after {time.monotonic() - begun:.1f} s")
        silent = mirror.status(Host.objects.get(name="silent3"), "down", 15)
        assert silent.status_text
        assert silent.last_seen is None
    finally:
        far.undrop(16509)


def test_a_changed_host_key_makes_the_host_untrusted_and_unapproved_ones_are_never_tried(
    mirror: Mirror, lab_host: LabHost
) -> None:
    mirror.monitor()
    trusted = mirror.add(lab_host, "trusted", "ssh")
    other = (lab_host.lab.dir / "ssh" / "hostkey_h9.pub").read_text().split()[:2]
    changed = Host.objects.create(
        name="changed", transport="ssh", address=lab_host.address, user="root", secrets=trusted.secrets,
        host_keys=f"{lab_host.address} {' '.join(other)}\n",
    )  # fmt: skip
    unapproved = Host.objects.create(name="unapproved", transport="ssh", address=lab_host.address, user="root")
    mirror.live(trusted)
    mirror.status(changed, "untrusted")
    mirror.until(lambda: mirror.status(unapproved, "new").status_text, 10, "the host that nobody approved says why")
    files = [path for path in (mirror.state / "hosts").rglob("*") if path.is_file()]
    assert files
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}


def test_hosts_are_added_changed_disabled_and_removed_while_it_runs(mirror: Mirror, lab_host: LabHost) -> None:
    mirror.web()
    mirror.monitor()
    page = mirror.open()
    begun = time.monotonic()
    host = mirror.live(mirror.add(lab_host, "first"))
    assert time.monotonic() - begun < 4
    Host.objects.filter(pk=host.pk).update(name="second")
    page.hears(lambda one: one.get("m", {}).get("row", {}).get("name") == "second", 8)
    Host.objects.filter(pk=host.pk).update(enabled=False)
    hears_host(page, "disabled", 8)
    Host.objects.filter(pk=host.pk).update(enabled=True)
    mirror.live(host)
    Host.objects.filter(pk=host.pk).update(address="/nowhere/libvirt-sock")
    mirror.status(host, "down")
    Host.objects.filter(pk=host.pk).delete()
    page.hears(lambda one: one.get("m", {}).get("k") == "host" and one["m"]["op"] == "gone", 8)


def test_a_hung_qemu_stops_neither_events_nor_the_figures_of_others(
    mirror: Mirror, lab_host: LabHost, make_guest: Make
) -> None:
    make_guest(lab_host, "hung", start=True)
    well = make_guest(lab_host, "well", start=True)
    mirror.monitor()
    host = mirror.live(mirror.add(lab_host))
    mirror.guest(well.uuid, state="running")
    inner = lab_host.exec("pgrep", "-f", "guest=hung").split()[0]
    qemu = next(
        int(path.parent.name)
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if b"guest=hung," in path.read_bytes()
        and path.parent.joinpath("status").read_text().split("NSpid:")[1].split()[1:2] == [inner]
    )
    stop_process(qemu)
    try:
        until = time.monotonic() + 40
        while "starting anew" not in mirror.logs() and time.monotonic() < until:
            metrics.watch(host.pk)
            time.sleep(0.5)
        assert "starting anew" in mirror.logs()
        now = time.time() * 1000
        mirror.until(
            lambda: (
                metrics.watch(host.pk),
                (metrics.latest([(host.pk, well.uuid)]).get((host.pk, well.uuid)) or [0])[0] > now,
            )[1],
            15,
            "the other guest has figures",
        )
        well.virsh("suspend")
        mirror.guest(well.uuid, 2, state="paused")
    finally:
        continue_process(qemu)


def test_redis_killed_and_restarted_pages_look_again_and_changes_flow(
    mirror: Mirror, lab_host: LabHost, make_guest: Make
) -> None:
    guest = make_guest(lab_host, "steady", start=True)
    mirror.web()
    monitor = mirror.monitor()
    mirror.live(mirror.add(lab_host))
    page = mirror.open()
    mirror.redis.stop()
    guest.virsh("suspend")
    mirror.guest(guest.uuid, state="paused")  # the database goes on
    mirror.redis.start()
    page.hears(lambda one: one.get("resync"), 15)
    mirror.until(mirror.beats, 15, "the heart beats")
    guest.virsh("resume")
    page.hears_guest("steady", state="running", seconds=15)
    assert monitor.poll() is None


def test_a_locked_database_is_waited_out(mirror: Mirror, lab_host: LabHost, make_guest: Make) -> None:
    guest = make_guest(lab_host, "patient", start=True)
    mirror.web()
    monitor = mirror.monitor()
    mirror.live(mirror.add(lab_host))
    page = mirror.open()
    with mirror.database.locked():
        guest.virsh("suspend")
        page.hears_nothing_about("patient", 22)
        assert mirror.beats()
    page.hears_guest("patient", state="paused", seconds=25)
    assert monitor.poll() is None


def test_pages_learn_that_the_monitor_died_and_that_it_is_back(mirror: Mirror, lab_host: LabHost) -> None:
    mirror.web()
    mirror.monitor()
    host = mirror.live(mirror.add(lab_host))
    page = mirror.open()
    mirror.end("monitor", signal.SIGKILL)
    page.hears(lambda one: one.get("monitor") is False, 30)
    mirror.monitor()
    page.hears(lambda one: one.get("monitor") is True, 10)
    mirror.live(host)
    mirror.end("monitor")
    assert Host.objects.get(pk=host.pk).status == "connecting"
    page.hears(lambda one: one.get("monitor") is False, 10)


def test_only_one_monitor_runs(mirror: Mirror) -> None:
    mirror.monitor()
    second = mirror.start("second", "manage.py", "monitor")
    assert second.wait(30) == 1
    assert "Another monitor runs already" in mirror.logs()


def test_this_machine_enrols_itself_when_its_libvirt_answers(mirror: Mirror, lab_host: LabHost) -> None:
    mirror.monitor(KVMWEB_LOCAL_HOST="1", KVMWEB_LIBVIRT_SOCKET=lab_host.socket)
    host = mirror.until(lambda: Host.objects.filter(transport="local").first(), 15, "it is enrolled")
    mirror.live(host)
    assert host.name
    assert bus.client().get(bus.HEARTBEAT)


def test_an_io_error_is_shown_until_the_guest_goes_on(
    mirror: Mirror, lab_host: LabHost, make_guest: Make, tiny_images: TinyImages
) -> None:
    """A disk whose file cannot grow: 64 MiB on a file system of 1 MiB."""
    lab_host.exec("sh", "-c", "mkdir -p /srv/small && mount -t tmpfs -o size=1m tmpfs /srv/small")
    lab_host.exec("sh", "-c", "truncate -s 64M /srv/small/full.raw && chmod 666 /srv/small/full.raw")
    tiny_guest = make_guest(lab_host, "full", tiny=tiny_images, network="default", start=True)
    try:
        tiny_guest.wait_for_line("TINY READY")
        tiny_guest.virsh("attach-disk", "/srv/small/full.raw", "vdb", "--driver", "qemu", "--subdriver", "raw")
        mirror.web()
        mirror.monitor()
        mirror.live(mirror.add(lab_host))
        assert mirror.guest(tiny_guest.uuid, 20, facts__agent_connected=True)
        mirror.until(lambda: Guest.objects.get(uuid=tiny_guest.uuid).addresses, 40, "its address is known")
        page = mirror.open()
        write = {"path": "/bin/dd", "arg": ["if=/dev/zero", "of=/dev/vdb", "bs=1M", "count=8"]}
        tiny_guest.virsh("qemu-agent-command", json.dumps({"execute": "guest-exec", "arguments": write}))
        row = page.hears_guest(tiny_guest.name, 30, state="paused")["row"]
        assert (row["reason"], row["io_error"]) == ("I/O error", True)
        error = mirror.guest(tiny_guest.uuid, facts__io_error__reason="enospc").facts["io_error"]
        assert error["path"] == "/srv/small/full.raw"
        lab_host.exec("mount", "-o", "remount,size=80m", "/srv/small")
        tiny_guest.virsh("resume")
        page.hears_guest(tiny_guest.name, 10, state="running", io_error=False)
    finally:
        lab_host.exec("sh", "-c", f"virsh destroy {tiny_guest.name}; umount -l /srv/small; rmdir /srv/small; true")
