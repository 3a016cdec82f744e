"""A guest whose agent is an attacker: silent, endless, or full of lies. Nobody waits for it and nothing it says gets through."""

from __future__ import annotations

import ipaddress
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dashboard.virt import guests
from dashboard.virt.connection import open_connection
from dashboard.virt.pool import borrow
from dashboard.virt.streams import open_console
from tests.lab.guests import LabGuest
from tests.lab.hosts import LabHost, wait_for

PORT = "/dev/$(basename $(dirname $(grep -l guest_agent /sys/class/virtio-ports/*/name)))"
LIES = r"""awk -v n=%d 'BEGIN { printf "{\"return\":["; for (i = 0; i < n; i++) {
if (i) printf ","; printf "{\"name\":\"<img src=x onerror=alert(1)>%%d\",\"hardware-address\":\"52:54:00:00:00:01\",", i;
printf "\"ip-addresses\":[{\"ip-address\":\"10.%%d.%%d.1\",\"prefix\":24,\"ip-address-type\":\"ipv4\"},", i / 256 %% 256, i %% 256;
printf "{\"ip-address\":\"<script>alert(1)</script>\",\"prefix\":24,\"ip-address-type\":\"ipv4\"}]}" } print "]}" }'"""
AGENT = r"""cat > /tmp/agent <<'X'
while read -r said; do case "$said" in
*guest-sync*) echo "{\"return\":$(echo "$said" | sed 's/.*"id": *\([0-9]*\).*/\1/')}";;
*get-interfaces*) . /tmp/lies;;
*) echo '{"return":{}}';; esac; done
X
cat > /tmp/lies <<'X'
%s
X
"""
HOSTILE = {
    "never answers": "cat < $P > /dev/null",
    "one endless line": "tr '\\0' a < /dev/zero > $P",
    "a million interfaces": AGENT % (LIES % 1_000_000) + "sh /tmp/agent 0<>$P 1>&0",
    "two thousand interfaces with markup": AGENT % "cat /tmp/answer"
    + f"{LIES % 2000} > /tmp/answer; sh /tmp/agent 0<>$P 1>&0",
}


@pytest.fixture
def conn(lab_host: LabHost) -> Iterator[Any]:
    with borrow(lab_host.spec()) as conn:
        yield conn


def shell(lab_host: LabHost, guest: LabGuest, *lines: str) -> None:
    """Type into the shell on the guest's serial line and wait until it has read all."""
    connection = open_connection(lab_host.spec(key="serial"))
    try:
        stream = open_console(connection, guest.uuid, force=True)
        said = bytearray()
        stream.on_data(said.extend)
        stream.write(("\n".join(lines) + "\necho do''ne\n").encode())
        wait_for(lambda: b"done" in said, seconds=60, saying=f"the shell: {bytes(said)!r}")
        stream.close()
    finally:
        connection.close()


def become_hostile(lab_host: LabHost, conn: Any, guest: LabGuest, attack: str) -> None:
    """Put `attack` in the place of the guest's agent, as libvirt has seen it go and come."""

    def connected() -> bool:
        return bool(guests.read_guest(conn, guest.uuid).facts["agent_connected"])

    shell(lab_host, guest, "sleep 2; killall qemu-ga; kill -9 -$(cat /tmp/attacker)")
    wait_for(lambda: not connected(), seconds=30, saying="no agent")
    shell(
        lab_host,
        guest,
        "cat > /tmp/attack <<'ATTACK'",
        f"echo $$ > /tmp/attacker; P={PORT}",
        attack,
        "ATTACK",
        "setsid sh /tmp/attack &",
    )
    wait_for(connected, seconds=60, saying="the hostile agent")


@pytest.mark.parametrize("attack", HOSTILE)
def test_a_hostile_agent_holds_nobody_up_and_says_nothing_that_is_no_address(
    lab_host: LabHost, conn: Any, tiny_guest: LabGuest, make_guest: Callable[..., LabGuest], attack: str
) -> None:
    guest, bystander = tiny_guest, make_guest(lab_host)
    become_hostile(lab_host, conn, guest, HOSTILE[attack])
    told: list[Any] = []

    def ask() -> None:
        with borrow(lab_host.spec(key="side")) as side:
            told.append(guests.addresses(side, guest.uuid))

    asking = threading.Thread(target=ask)
    began = time.monotonic()
    asking.start()
    slowest = 0.0
    while asking.is_alive():
        before = time.monotonic()
        assert guests.read_guest(conn, bystander.uuid).name == bystander.name
        slowest = max(slowest, time.monotonic() - before)
        asking.join(0.05)
    took = time.monotonic() - began
    print(f"{attack}: {took:.1f} s, the slowest look at another guest meanwhile took {slowest:.2f} s")
    assert took < 15
    assert slowest < 2
    assert len(told[0]) <= 64
    if attack == "two thousand interfaces with markup":
        assert len(told[0]) == 64, "what it said was read"
    for row in told[0]:
        ipaddress.ip_address(row["ip"])
        assert "<" not in str(row)
