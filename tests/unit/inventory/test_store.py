"""What a comparison writes, and that it writes nothing else."""

from __future__ import annotations

import time
import uuid as uuids
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from dashboard.inventory import store
from dashboard.inventory.models import Guest, Host, Network, Pool, Volume
from dashboard.inventory.reader import whole_host
from dashboard.inventory.store import Seen
from dashboard.virt.facts import GuestFacts, GuestState, HostFacts, NetworkFacts, PoolFacts, VolumeFacts

pytestmark = pytest.mark.django_db

Queries = Callable[..., Any]


def facts(number: int = 1, **changes: Any) -> GuestFacts:
    plain = GuestFacts(
        uuid=str(uuids.uuid5(uuids.NAMESPACE_DNS, str(number))), name=f"guest{number}", state=GuestState.RUNNING, reason="booted",
        persistent=True, autostart=False, saved=False, title="", description="", vcpus=1, vcpus_max=1, memory_kib=1024,
        memory_max_kib=1024, tags=("web",), xml=f"<domain>{number}</domain>", facts={"virt": "kvm", "boot": ("hd",)},
    )  # fmt: skip
    return replace(plain, **changes)


@pytest.fixture
def host() -> Host:
    return Host.objects.create(name="h", transport="test", status=Host.Status.LIVE)


def test_a_comparison_adds_changes_and_removes(host: Host) -> None:
    store.compare_guests(host, [facts(1), facts(2), facts(3)])
    difference = store.compare_guests(host, [facts(1), facts(2, name="renamed", state=GuestState.PAUSED), facts(4)])
    assert {guest.name for guest in difference.changed} == {"renamed", "guest4"}
    assert difference.gone == [facts(3).uuid]
    assert dict(Guest.objects.values_list("name", "state")) == {
        "guest1": "running",
        "renamed": "paused",
        "guest4": "running",
    }


def test_hosts_do_not_touch_each_other_even_with_the_same_guest(host: Host) -> None:
    other = Host.objects.create(name="other", transport="test")
    store.compare_guests(host, [facts(1)])
    store.compare_guests(other, [facts(1)])
    store.compare_guests(other, [])
    assert Guest.objects.get().host == host


def test_ten_thousand_equal_guests_are_compared_without_a_write_in_seconds(
    host: Host, django_assert_num_queries: Queries
) -> None:
    told = [facts(number) for number in range(10_000)]
    begun = time.monotonic()
    assert len(store.compare_guests(host, told).changed) == 10_000
    print(f"10,000 guests written in {time.monotonic() - begun:.1f} s")
    begun = time.monotonic()
    with django_assert_num_queries(1):
        difference = store.compare_guests(host, told)
    print(f"10,000 equal guests compared in {time.monotonic() - begun:.1f} s")
    assert not difference.changed
    assert not difference.gone
    assert time.monotonic() - begun < 10


def test_one_guest_costs_one_look_and_one_write_and_none_if_it_is_equal(
    host: Host, django_assert_num_queries: Queries
) -> None:
    assert store.put_guest(host, facts()) is not None
    with django_assert_num_queries(1):
        assert store.put_guest(host, facts()) is None
    with django_assert_num_queries(2):
        changed = store.put_guest(host, facts(autostart=True))
    assert changed is not None
    message = store.guest_message(host, changed)
    assert message["row"]["autostart"] is True
    assert message["row"]["state"] == "running"


def test_the_start_is_kept_until_the_guest_stops(host: Host) -> None:
    started = store.put_guest(host, facts(), Seen(started_at=1_000_000.0, resumed=True))
    assert started is not None
    assert started.started_at is not None
    assert started.started_at.timestamp() == 1_000_000.0
    assert store.put_guest(host, facts(started_at=1_000_001.5)) is None  # the process tells the same start
    store.put_guest(host, facts(state=GuestState.PAUSED))
    assert Guest.objects.get().started_at is not None
    store.put_guest(host, facts(state=GuestState.SHUTOFF))
    assert Guest.objects.get().started_at is None


def test_addresses_go_when_the_guest_stops_and_stay_otherwise(host: Host) -> None:
    store.put_guest(host, facts())
    address = [{"ip": "192.0.2.7", "prefix": 24, "mac": "", "source": "lease"}]
    assert [guest.name for guest in store.put_addresses(host, {facts().uuid: address})] == ["guest1"]
    assert store.put_addresses(host, {facts().uuid: address}) == []
    store.compare_guests(host, [facts(title="x")])
    assert Guest.objects.get().addresses == address
    store.put_guest(host, facts(state=GuestState.SHUTOFF))
    assert Guest.objects.get().addresses == []
    assert store.put_addresses(host, {facts().uuid: address}) == []


def test_an_io_error_stands_until_the_guest_goes_on(host: Host) -> None:
    error = {"reason": "enospc", "disk": "vda"}
    paused = facts(state=GuestState.PAUSED, reason="I/O error")
    guest = store.put_guest(host, paused, Seen(io_error=error))
    assert guest is not None
    assert store.guest_message(host, guest)["row"]["io_error"] is True
    store.compare_guests(host, [paused])
    assert Guest.objects.get().facts["io_error"] == error
    guest = store.put_guest(host, facts(), Seen(resumed=True))
    assert guest is not None
    assert store.guest_message(host, guest)["row"]["io_error"] is False


def test_a_host_that_does_not_answer_has_guests_of_unknown_state(host: Host) -> None:
    store.compare_guests(host, [facts(1)])
    store.set_status(host, Host.Status.DOWN, "why")
    row = next(message for message in whole_host(host) if message["k"] == "guest")["row"]
    assert (row["state"], row["since"], row["host_status"]) == ("unknown", None, "down")
    assert Guest.objects.get().state == "running"


def test_networks_and_hosts_are_written_only_when_they_differ(host: Host, django_assert_num_queries: Queries) -> None:
    network = NetworkFacts(facts(1).uuid, "default", True, True, True, "nat", "virbr0", ("192.168.122.0/24",))
    assert store.put_network(host, network)
    assert store.put_network(host, network) is None
    assert [one.active for one in store.compare_networks(host, [replace(network, active=False)]).changed] == [False]
    assert store.compare_networks(host, []).gone == [network.uuid]
    assert not Network.objects.exists()
    known = HostFacts("h", "9.0.0", "7.2.0", "EPYC", 2, 1024, 512, False, {"arch": "x86_64", "machines": ["pc"]})
    assert store.put_host(host, known)
    with django_assert_num_queries(0):
        assert not store.put_host(host, known)


def test_volumes_follow_their_pool_and_keep_the_format_in_which_they_were_made(host: Host) -> None:
    volume = VolumeFacts("a.qcow2", "file", "qcow2", 10, 5, "/p/a.qcow2", "")
    pool = PoolFacts(facts(1).uuid, "p", "dir", "running", True, True, 100, 5, 95, "/p", (volume,))
    assert store.put_pool(host, pool)[1] is True
    assert store.put_pool(host, pool) == (None, False)
    Volume.objects.update(made_format="qcow2")
    grown = replace(pool, volumes=(replace(volume, allocation=7), replace(volume, name="b", path="/p/b")))
    difference, changed = store.compare_pools(host, [grown])
    assert (difference.changed, changed) == ([], [pool.uuid])
    assert set(Volume.objects.values_list("name", "made_format", "allocation")) == {
        ("a.qcow2", "qcow2", 7),
        ("b", "", 5),
    }
    store.put_pool(host, replace(pool, state="inactive", volumes=()))
    assert Volume.objects.count() == 2  # what an inactive pool holds is not known, not gone
    store.compare_pools(host, [])
    assert not Pool.objects.exists()


def test_what_a_host_says_is_cut_to_what_fits(host: Host) -> None:
    guest = store.put_guest(host, facts(name="n" * 999, title="t" * 999, reason="r" * 99))
    assert guest is not None
    assert (len(guest.name), len(guest.title), len(guest.reason)) == (255, 255, 32)
