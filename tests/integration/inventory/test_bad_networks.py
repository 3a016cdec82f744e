"""A host behind a network that drops, resets, loses or is narrow: it alone is unknown, and pages answer as quickly as ever."""

from __future__ import annotations

import http.client
import socket
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.conf import settings

from dashboard.inventory.models import Guest, Host
from tests.integration.inventory.mirror import Mirror
from tests.lab.guests import LabGuest
from tests.lab.hosts import LabHost
from tests.survival.faults import bad_network

Make = Callable[..., LabGuest]
TCP = 16509


class Reader:
    """Somebody who looks at the list of guests again and again."""

    def __init__(self, mirror: Mirror) -> None:
        key = mirror.session(mirror.person("reader", "administrator"))
        self.headers = {"Host": "127.0.0.1:8000", "Cookie": f"{settings.SESSION_COOKIE_NAME}={key}"}
        self.socket = str(mirror.folder / "web.sock")

    def look(self) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", timeout=30)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(self.socket)
        try:
            connection.request("GET", "/guests/", headers=self.headers)
            answer = connection.getresponse()
            answer.read()
            return answer.status
        finally:
            connection.close()

    def p95(self, rounds: int = 30) -> float:
        took = []
        for _ in range(rounds):
            begun = time.monotonic()
            assert self.look() == 200
            took.append(time.monotonic() - begun)
        return statistics.quantiles(took, n=20)[-1]


@pytest.fixture
def pair(
    mirror: Mirror, lab_hosts: Callable[[int], list[LabHost]], make_guest: Make
) -> tuple[Mirror, LabHost, Host, Host, LabGuest, LabGuest]:
    """Two hosts, one reached over TCP, a running guest on each, monitor and web process."""
    near, far = lab_hosts(2)
    here, there = make_guest(near, "here", start=True), make_guest(far, "there", start=True)
    assert mirror.start("static", "manage.py", "collectstatic", "--noinput", "--verbosity", "0").wait(60) == 0
    mirror.web()
    mirror.monitor()
    alive, lost = mirror.live(mirror.add(near)), mirror.live(mirror.add(far, transport="tcp"))
    mirror.guest(here.uuid, state="running")
    mirror.guest(there.uuid, state="running")
    return mirror, far, alive, lost, here, there


@pytest.mark.parametrize("kind", ["drop", "reset"])
def test_an_unreachable_host_is_unknown_within_twenty_seconds_and_disturbs_nobody(pair: Any, kind: str) -> None:
    mirror, far, alive, lost, here, there = pair
    page, reader = mirror.open(), Reader(mirror)
    reader.p95()  # the first pages fill caches
    before = reader.p95()
    begun = time.monotonic()
    with ThreadPoolExecutor(1) as thread, bad_network(far, kind, TCP):
        if kind == "reset":  # what is open must say something to be reset
            far.exec("iptables", "-I", "OUTPUT", "-p", "tcp", "--sport", str(TCP), "-j", "DROP")
        try:
            during = thread.submit(reader.p95)
            page.hears(lambda one: one.get("m", {}).get("row", {}).get("status") == "down", 25)
            took = time.monotonic() - begun
            row = page.hears_guest("there")["row"]
            assert row["state"] == "unknown"
            assert Host.objects.get(pk=lost.pk).last_seen is not None
            assert Guest.objects.filter(uuid=there.uuid).exists(), "never taken for deleted"
            assert Host.objects.get(pk=alive.pk).status == "live"
            here.virsh("suspend")
            page.hears_guest("here", state="paused", seconds=2)
            here.virsh("resume")
            slow = during.result()
        finally:
            if kind == "reset":
                far.exec("iptables", "-D", "OUTPUT", "-p", "tcp", "--sport", str(TCP), "-j", "DROP")
    print(
        f"{kind}: unreachable after {took:.1f} s; pages p95 {before * 1000:.0f} ms before, {slow * 1000:.0f} ms during"
    )
    assert took <= 20
    assert slow < max(1.5 * before, before + 0.1)
    mirror.live(lost, 60)
    page.hears_guest("there", state="running", seconds=10)


@pytest.mark.parametrize("kind", ["loss", "narrow"])
def test_a_bad_network_makes_a_host_slow_and_never_wrong(pair: Any, kind: str) -> None:
    mirror, far, alive, _lost, here, there = pair
    page, reader = mirror.open(), Reader(mirror)
    reader.p95()  # the first pages fill caches
    before = reader.p95()
    with bad_network(far, kind, TCP):
        for command, state in (("suspend", "paused"), ("resume", "running")) * 3:
            there.virsh(command)
            mirror.guest(there.uuid, 25, state=state)
            here.virsh(command)
            page.hears_guest("here", state=state, seconds=2)
        slow = reader.p95()
        assert Host.objects.get(pk=alive.pk).status == "live"
    print(f"{kind}: pages p95 {before * 1000:.0f} ms before, {slow * 1000:.0f} ms during")
    assert slow < max(1.5 * before, before + 0.1)
    gone = [one for one in page.said if one.get("m", {}).get("op") == "gone"]
    assert not gone, "nothing was taken for deleted"
