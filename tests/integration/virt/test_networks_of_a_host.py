"""Networks of a real libvirt."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from dashboard.virt import guests, networks
from dashboard.virt.errors import VirtError
from dashboard.virt.pool import borrow
from tests.lab.guests import LabGuest
from tests.lab.hosts import LabHost, wait_for

MORE = "4c414200-1111-4000-8001-0000000000c1"
XML = f"""<network><name>more</name><uuid>{MORE}</uuid><forward mode='route'/><bridge name='virbr77'/>
<ip address='10.9.0.1' netmask='255.255.254.0'/><ip family='ipv6' address='fd00:9::1' prefix='64'/></network>"""


@pytest.fixture
def conn(lab_host: LabHost) -> Iterator[Any]:
    with borrow(lab_host.spec()) as conn:
        yield conn


@pytest.fixture
def made(conn: Any) -> Iterator[str]:
    uuid = networks.create_default_network(conn, name="made")
    yield uuid
    network = conn.networkLookupByUUIDString(uuid)
    if network.isActive():
        network.destroy()
    network.undefine()


def test_a_nat_network_is_made_beside_the_subnets_that_are_taken_and_mended_when_off(
    conn: Any, made: str, lab_host: LabHost
) -> None:
    taken = {subnet for facts in networks.read_networks(conn) if facts.uuid != made for subnet in facts.subnets}
    facts = networks.read_network(conn, made)
    assert (facts.name, facts.forward, facts.active, facts.persistent, facts.autostart) == (
        "made",
        "nat",
        True,
        True,
        True,
    )
    assert facts.bridge.startswith("virbr")
    (subnet,) = facts.subnets
    assert subnet.startswith("192.168.")
    assert subnet not in taken
    lab_host.virsh("net-destroy", "made")
    lab_host.virsh("net-autostart", "made", "--disable")
    assert networks.read_network(conn, made).active is False
    assert networks.create_default_network(conn, name="made") == made
    assert networks.read_network(conn, made) == facts
    assert facts in networks.read_networks(conn)


def test_a_subnet_that_the_host_itself_uses_is_left_alone(conn: Any, lab_host: LabHost) -> None:
    taken = {subnet for facts in networks.read_networks(conn) for subnet in facts.subnets}
    first = next(f"192.168.{third}" for third in range(122, 255) if f"192.168.{third}.0/24" not in taken)
    lab_host.exec("ip", "addr", "add", f"{first}.77/24", "dev", "eth2")
    try:
        uuid = networks.create_default_network(conn, name="second")
        assert networks.read_network(conn, uuid).subnets != (f"{first}.0/24",)
        lab_host.virsh("net-destroy", "second")
        lab_host.virsh("net-undefine", "second")
    finally:
        lab_host.exec("ip", "addr", "del", f"{first}.77/24", "dev", "eth2")


def test_networks_of_every_kind_are_read(conn: Any) -> None:
    network = conn.networkDefineXML(XML)
    isolated = conn.networkDefineXML("<network><name>alone</name></network>")
    try:
        facts = networks.read_network(conn, MORE)
        assert (facts.name, facts.active, facts.autostart, facts.forward, facts.bridge) == (
            "more",
            False,
            False,
            "route",
            "virbr77",
        )
        assert facts.subnets == ("10.9.0.0/23", "fd00:9::/64")
        assert networks.leases(conn, MORE) == []
        for _ in range(2):
            networks.start_network(conn, MORE)
        assert networks.read_network(conn, MORE).active
        alone = next(facts for facts in networks.read_networks(conn) if facts.name == "alone")
        assert (alone.forward, alone.subnets, alone.active) == ("", (), False)
    finally:
        network.destroy()
        network.undefine()
        isolated.undefine()


def test_a_network_that_does_not_exist_is_not_found(conn: Any) -> None:
    for call in (networks.read_network, networks.start_network, networks.leases):
        with pytest.raises(VirtError) as refused:
            call(conn, MORE)
        assert refused.value.code == "not_found"


def test_the_tiny_guest_has_a_lease_and_the_same_address_by_its_agent(conn: Any, tiny_guest: LabGuest) -> None:
    default = next(facts for facts in networks.read_networks(conn) if facts.name == "default")
    mac = guests.read_guest(conn, tiny_guest.uuid).facts["nics"][0]["mac"]

    def lease() -> dict[str, Any] | None:
        return next((lease for lease in networks.leases(conn, default.uuid) if lease["mac"] == mac), None)

    found = wait_for(lease, seconds=60, every=0.5, saying="a lease")
    assert (found["prefix"], found["hostname"]) == (24, "tiny")
    assert found["expires"] > 1_700_000_000
    row = {"ip": found["ip"], "prefix": 24, "mac": mac}
    told = wait_for(lambda: guests.addresses(conn, tiny_guest.uuid), seconds=60, saying="an address by lease or agent")
    assert told in ([row | {"source": "lease"}], [row | {"source": "agent"}])
    wait_for(
        lambda: guests.addresses(conn, tiny_guest.uuid) == [row | {"source": "agent"}],
        seconds=60,
        every=0.5,
        saying="the same address by its agent",
    )
