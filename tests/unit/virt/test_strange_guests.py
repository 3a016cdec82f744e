"""What others define may be strange: it is shown, and hides nothing else (XML-4)."""

from __future__ import annotations

import uuid as uuids
from collections.abc import Iterator
from typing import Any

import libvirt
import pytest
from lxml import etree

from dashboard.virt import change, guests, networks, power
from dashboard.virt.facts import GuestState
from dashboard.virt.guests import state_of

NAMES = [
    "<img src=x onerror=alert(1)>",
    "-dash",
    "it's",
    "a" * 200,
    "\u202etxt.exe",
    "two words",
    "数据库",
    "--help",
    "a;b|c&d",
]


@pytest.fixture
def conn() -> Iterator[Any]:
    """libvirt's test driver: guests in this process, which accepts any name."""
    conn = libvirt.open("test:///default")
    yield conn
    for domain in conn.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_PERSISTENT):
        if domain.name() != "test":
            if domain.isActive():
                domain.destroy()
            domain.undefine()
    conn.close()


def define(conn: Any, name: str, description: str = "") -> str:
    root = etree.Element("domain", None, None, type="test")
    etree.SubElement(root, "name").text = name
    uuid = etree.SubElement(root, "uuid").text = str(uuids.uuid4())
    etree.SubElement(root, "description").text = description
    etree.SubElement(root, "memory").text = "8192"
    etree.SubElement(root, "vcpu").text = "3"
    etree.SubElement(etree.SubElement(root, "os"), "type").text = "hvm"
    conn.defineXML(etree.tostring(root, encoding="unicode"))
    return uuid


@pytest.mark.parametrize("name", NAMES)
def test_a_guest_of_any_name_is_read_and_acted_on_by_its_uuid(conn: Any, name: str) -> None:
    uuid = define(conn, name)
    assert guests.read_guest(conn, uuid).name == name
    assert name in {facts.name for facts in guests.read_guests(conn)}
    power.start(conn, uuid)
    assert power.state(conn, uuid)[0] is GuestState.RUNNING
    power.destroy(conn, uuid)
    change.rename(conn, uuid, "plain")
    assert guests.read_guest(conn, uuid).name == "plain"


def test_a_guest_too_big_to_read_hides_no_other(conn: Any) -> None:
    big, small = define(conn, "big", "x" * 1_100_000), define(conn, "small")
    found = {facts.uuid: facts for facts in guests.read_guests(conn)}
    assert found[small].description == ""
    assert (found[big].name, found[big].xml, found[big].vcpus, found[big].memory_kib) == ("big", "", 3, 8192)
    assert set(found[big].facts) == set(found[small].facts)


def test_a_network_too_big_to_read_hides_no_other(conn: Any) -> None:
    root = etree.Element("network")
    etree.SubElement(root, "name").text = "big"
    dhcp = etree.SubElement(etree.SubElement(root, "ip", None, None, address="10.0.0.1", prefix="8"), "dhcp")
    for number in range(20_000):
        etree.SubElement(
            dhcp,
            "host",
            mac=f"52:54:00:00:{number >> 8:02x}:{number & 255:02x}",
            ip=f"10.1.{number >> 8}.{number & 255}",
        )
    network = conn.networkDefineXML(etree.tostring(root, encoding="unicode"))
    try:
        assert {"big", "default"} <= {facts.name for facts in networks.read_networks(conn)}
    finally:
        network.undefine()


def test_states_that_a_newer_libvirt_may_tell_are_unknown_not_wrong() -> None:
    assert state_of(99, 1) == (GuestState.UNKNOWN, "")
    assert state_of(libvirt.VIR_DOMAIN_RUNNING, 99) == (GuestState.RUNNING, "")
    assert state_of(libvirt.VIR_DOMAIN_NOSTATE, 0) == (GuestState.UNKNOWN, "")


@pytest.mark.parametrize(
    ("state", "reason", "words"),
    [
        (libvirt.VIR_DOMAIN_RUNNING, libvirt.VIR_DOMAIN_RUNNING_WAKEUP, (GuestState.RUNNING, "woken")),
        (libvirt.VIR_DOMAIN_RUNNING, libvirt.VIR_DOMAIN_RUNNING_POSTCOPY, (GuestState.RUNNING, "post-copy")),
        (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_IOERROR, (GuestState.PAUSED, "I/O error")),
        (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_STARTING_UP, (GuestState.PAUSED, "starting up")),
        (libvirt.VIR_DOMAIN_SHUTDOWN, 1, (GuestState.STOPPING, "user")),
        (libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_SHUTOFF_DAEMON, (GuestState.SHUTOFF, "daemon")),
        (libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_SHUTOFF_CRASHED, (GuestState.SHUTOFF, "crashed")),
        (libvirt.VIR_DOMAIN_CRASHED, libvirt.VIR_DOMAIN_CRASHED_PANICKED, (GuestState.CRASHED, "panicked")),
        (libvirt.VIR_DOMAIN_PMSUSPENDED, 0, (GuestState.SUSPENDED, "")),
    ],
)
def test_states_and_reasons_are_said_in_words(state: int, reason: int, words: tuple[GuestState, str]) -> None:
    assert state_of(state, reason) == words
