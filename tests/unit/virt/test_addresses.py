"""A guest says its addresses itself: what it says is checked, and never more than a list of addresses."""

from __future__ import annotations

from typing import Any

import libvirt
import pytest

from dashboard.virt.guests import addresses

AGENT = libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_AGENT
LEASE = libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_LEASE
ARP = libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_ARP
MAC = "52:54:00:00:00:01"


def nic(*given: tuple[str, int], mac: str = MAC) -> dict[str, Any]:
    return {"hwaddr": mac, "addrs": [{"addr": address, "prefix": prefix, "type": 0} for address, prefix in given]}


class Host:
    """A libvirt connection with one guest that answers as a test says; a real one cannot be made to lie."""

    def __init__(self, answers: dict[int, Any], *, agent: str = "connected", active: bool = True) -> None:
        self.answers, self.agent, self.active = answers, agent, active
        self.asked: list[int] = []
        self.patience: list[int] = []

    def lookupByUUIDString(self, uuid: str) -> Host:
        return self

    def isActive(self) -> bool:
        return self.active

    def XMLDesc(self, flags: int) -> str:
        target = f"<target type='virtio' name='org.qemu.guest_agent.0' state='{self.agent}'/>"
        return f"<domain><devices><channel type='unix'>{target}</channel></devices></domain>"

    def agentSetResponseTimeout(self, seconds: int, flags: int) -> None:
        self.patience.append(seconds)

    def interfaceAddresses(self, source: int, flags: int) -> Any:
        self.asked.append(source)
        answer = self.answers.get(source)
        if answer is None:
            raise libvirt.libvirtError("no")
        return answer


def ips(host: Host) -> list[tuple[str, int, str, str]]:
    return [(row["ip"], row["prefix"], row["mac"], row["source"]) for row in addresses(host, "uuid")]


def test_the_agents_word_comes_first_and_nobody_is_told_twice() -> None:
    host = Host(
        {AGENT: {"eth0": nic(("192.0.2.7", 24), ("2001:db8::7", 64))}, LEASE: {"vnet0": nic(("192.0.2.7", 24))}}
    )
    assert ips(host) == [("192.0.2.7", 24, MAC, "agent"), ("2001:db8::7", 64, MAC, "agent")]
    assert ARP not in host.asked


def test_the_agent_is_given_two_seconds_and_then_its_patience_back() -> None:
    for answers in ({AGENT: {}}, {}):
        host = Host(answers)
        addresses(host, "uuid")
        assert host.patience == [2, libvirt.VIR_DOMAIN_AGENT_RESPONSE_TIMEOUT_BLOCK]


@pytest.mark.parametrize("state", ["disconnected", ""])
def test_an_agent_that_is_not_connected_is_not_asked(state: str) -> None:
    host = Host({LEASE: {"vnet0": nic(("192.0.2.7", 24))}}, agent=state)
    assert ips(host) == [("192.0.2.7", 24, MAC, "lease")]
    assert host.asked == [LEASE]


def test_the_arp_table_is_asked_last_and_may_fail() -> None:
    assert ips(Host({ARP: {"vnet0": nic(("192.0.2.7", 0))}}, agent="")) == [("192.0.2.7", 0, MAC, "arp")]
    assert ips(Host({}, agent="")) == []


def test_a_guest_that_is_off_has_none() -> None:
    host = Host({LEASE: {"vnet0": nic(("192.0.2.7", 24))}}, active=False)
    assert addresses(host, "uuid") == []
    assert host.asked == []


def test_own_and_link_local_addresses_are_left_out() -> None:
    lo = nic(("127.0.0.1", 8), ("::1", 128), ("::", 0), ("169.254.1.1", 16), ("fe80::1", 64), ("10.0.0.1", 8))
    assert ips(Host({AGENT: {"lo": lo}})) == [("10.0.0.1", 8, MAC, "agent")]


def test_a_lying_guest_gets_no_markup_and_no_flood_through() -> None:
    lies: dict[str, Any] = {
        "eth0": nic(("<script>alert(1)</script>", 24), ("10.0.0.1", 999), ("10.0.0.2", 24), mac="<b>"),
        "eth1": {"hwaddr": None, "addrs": None},
        "eth2": nic(*((f"10.{a}.{b}.1", 24) for a in range(4) for b in range(100))),
    }
    found = ips(Host({AGENT: lies}))
    assert found[0] == ("10.0.0.2", 24, "", "agent")
    assert len(found) == 64
