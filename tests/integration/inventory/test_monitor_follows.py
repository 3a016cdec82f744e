"""What others do to a host with virsh arrives in the database and on an open page."""

from __future__ import annotations

import time
from collections.abc import Callable

from dashboard.inventory import bus, metrics
from dashboard.inventory.models import Guest, Network, Pool
from tests.integration.inventory.mirror import Mirror
from tests.lab.guests import LabGuest
from tests.lab.hosts import LabHost

Make = Callable[..., LabGuest]


def test_what_virsh_does_outside_is_followed_in_the_database_and_on_the_page(
    mirror: Mirror, lab_host: LabHost, make_guest: Make
) -> None:
    mirror.web()
    mirror.monitor()
    host = mirror.live(mirror.add(lab_host))
    assert host.cpus > 0
    assert host.libvirt_version
    page = mirror.open()

    guest = make_guest(lab_host, "follow")
    assert page.hears_guest("follow")["row"]["state"] == "shutoff"
    assert mirror.guest(guest.uuid, state="shutoff").facts["disks"]

    guest.virsh("start")
    started = page.hears_guest("follow", state="running")["row"]
    assert abs(started["since"] / 1000 - time.time()) < 5
    mirror.guest(guest.uuid, state="running", started_at__isnull=False)

    guest.virsh("suspend")
    assert page.hears_guest("follow", state="paused")["row"]["reason"] == "user"
    guest.virsh("resume")
    page.hears_guest("follow", state="running")
    guest.virsh("desc", "--title", "Follow me")
    page.hears_guest("follow", title="Follow me")

    guest.virsh("destroy")
    off = page.hears_guest("follow", state="shutoff")["row"]
    assert off["since"] is None
    guest.virsh("domrename", "followed")
    page.hears_guest("followed")
    assert not [one for one in page.said if one.get("m", {}).get("op") == "gone"]
    assert mirror.guest(guest.uuid, name="followed").started_at is None

    lab_host.virsh("undefine", "followed")
    page.hears(lambda one: one.get("m", {}).get("op") == "gone" and one["m"]["uuid"] == guest.uuid)
    mirror.gone(guest.uuid)


def test_a_guest_undefined_while_it_runs_stays_until_it_ends(
    mirror: Mirror, lab_host: LabHost, make_guest: Make
) -> None:
    mirror.monitor()
    mirror.live(mirror.add(lab_host))
    guest = make_guest(lab_host, "transient", start=True)
    mirror.guest(guest.uuid, state="running", persistent=True)
    guest.virsh("undefine")
    mirror.guest(guest.uuid, state="running", persistent=False)
    guest.virsh("destroy")
    mirror.gone(guest.uuid)


def test_pools_volumes_and_networks_are_followed(mirror: Mirror, lab_host: LabHost) -> None:
    mirror.web()
    mirror.monitor()
    host = mirror.live(mirror.add(lab_host))
    page = mirror.open()
    try:
        lab_host.virsh("pool-define-as", "extra", "dir", "--target", "/srv/extra")
        page.hears(lambda one: one.get("m", {}).get("k") == "pool" and one["m"]["row"]["name"] == "extra")
        lab_host.virsh("pool-build", "extra")
        lab_host.virsh("pool-start", "extra")
        mirror.until(lambda: Pool.objects.filter(name="extra", state="running").first(), 5, "the pool runs")
        lab_host.virsh("vol-create-as", "extra", "one.qcow2", "1G", "--format", "qcow2")
        lab_host.virsh("pool-refresh", "extra")
        page.hears(lambda one: one.get("m", {}).get("k") == "volume")
        pool = Pool.objects.get(name="extra")
        volume = mirror.until(lambda: pool.volumes.filter(name="one.qcow2").first(), 5, "the volume is there")
        assert (volume.format, volume.capacity) == ("qcow2", 1 << 30)
        lab_host.virsh("vol-delete", "--pool", "extra", "one.qcow2")
        bus.client().publish(bus.ASK, f'{{"host":{host.pk},"what":"volumes","uuid":"{pool.uuid}"}}')
        mirror.until(lambda: not pool.volumes.exists(), 5, "the volume is gone when somebody asks to look")

        network = Network.objects.get(name="default")
        was = network.active
        lab_host.virsh("net-destroy" if was else "net-start", "default")
        page.hears(lambda one: one.get("m", {}).get("k") == "network" and one["m"]["row"]["active"] is not was)
        lab_host.virsh("net-start" if was else "net-destroy", "default")
        mirror.until(lambda: Network.objects.get(name="default").active is was, 5, "the network is as before")
    finally:
        lab_host.exec("sh", "-c", "virsh pool-destroy extra; virsh pool-undefine extra; rm -rf /srv/extra; true")
    page.hears(lambda one: one.get("m", {}).get("k") == "pool" and one["m"]["op"] == "gone")
    assert not Pool.objects.filter(name="extra").exists()


def test_figures_flow_every_two_seconds_to_who_watches(mirror: Mirror, lab_host: LabHost, make_guest: Make) -> None:
    mirror.web()
    mirror.monitor()
    host = mirror.live(mirror.add(lab_host))
    guest = make_guest(lab_host, "busy", start=True)
    other = make_guest(lab_host, "other", start=True)
    mirror.guest(other.uuid, state="running")
    page = mirror.open()
    page.say(watch=[f"{host.pk}/{guest.uuid}"])

    def figures(message: dict[str, object]) -> bool:
        return bool(message.get("m", {}).get("k") == "metrics")  # type: ignore[attr-defined]

    first, second = page.hears(figures), page.hears(figures)
    assert 1500 < second["m"]["t"] - first["m"]["t"] < 4000
    assert list(second["m"]["rows"]) == [guest.uuid]
    t, cpu, _used, memory, *rates = second["m"]["rows"][guest.uuid]
    assert t == second["m"]["t"]
    assert 0 <= cpu <= 1
    assert memory == 32 * 1024
    assert len(rates) == 4
    assert metrics.latest([(host.pk, other.uuid)])
    assert len(metrics.history(host.pk, guest.uuid)) >= 2
    guest.virsh("destroy")
    mirror.until(lambda: not metrics.latest([(host.pk, guest.uuid)]), 10, "a stopped guest has no figures")


def test_a_comparison_of_an_unchanged_host_writes_and_says_nothing(
    mirror: Mirror, lab_host: LabHost, make_guest: Make
) -> None:
    mirror.monitor()
    host = mirror.live(mirror.add(lab_host))
    guest = make_guest(lab_host, "still", start=True)
    mirror.guest(guest.uuid, state="running")
    time.sleep(1)
    before, changed, generation = mirror.last_id(), Guest.objects.get(uuid=guest.uuid).changed_at, host.generation
    bus.client().publish(bus.ASK, f'{{"host":{host.pk},"what":"all","uuid":""}}')
    mirror.until(lambda: mirror.live(host).generation > generation, 5, "a comparison was made")
    time.sleep(0.5)
    said = [fields["m"] for _, fields in bus.client().xrange(bus.LIVE, f"({before}")]
    assert not [one for one in said if '"k":"guest"' in one]
    assert Guest.objects.get(uuid=guest.uuid).changed_at == changed
