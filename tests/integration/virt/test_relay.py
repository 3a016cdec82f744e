"""SSH hosts: one ssh per host, ended with its connections or its process, and plain reasons when it cannot."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dashboard.virt import relay
from dashboard.virt.connection import open_connection
from dashboard.virt.errors import VirtError
from dashboard.virt.uri import HostSpec
from tests.lab.hosts import LabHost, wait_for


def ssh_processes(owner: int, name: str = "") -> list[str]:
    """Pids of the relays of one process of ours; other tests' relays may be ending meanwhile."""
    found = subprocess.run(
        ["pgrep", "-f", f"ssh .*{relay.NAME}{owner}-.*{name}:"], capture_output=True, text=True, check=False
    )
    return found.stdout.split()


def relay_of(spec: HostSpec) -> relay.Relay:
    return relay._relays[(os.getpid(), spec.key)]


def test_connections_to_one_host_share_one_ssh(lab_host: LabHost) -> None:
    spec = lab_host.spec("ssh", key="shared")
    first = open_connection(spec)
    ssh = relay_of(spec)
    second = open_connection(spec)
    try:
        assert first.conn.getHostname() == second.conn.getHostname() == "h1.lab"
        assert relay_of(spec) is ssh
        assert ssh.users == 2
    finally:
        first.close()
        second.close()
        relay.forget(spec.key)
    wait_for(lambda: not ssh.alive(), saying="ssh ended")


def test_an_unused_relay_ends(lab_host: LabHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "IDLE_SECONDS", 0.5)
    spec = lab_host.spec("ssh", key="unused")
    open_connection(spec).close()
    wait_for(lambda: not relay.runs(spec), seconds=5, saying="the relay ended")
    open_connection(spec).close()


def test_a_relay_that_died_is_replaced(lab_host: LabHost) -> None:
    spec = lab_host.spec("ssh", key="died")
    connection = open_connection(spec)
    told: list[str] = []
    connection.on_close(told.append)
    relay_of(spec).process.kill()
    wait_for(lambda: told, seconds=3, saying="the connection heard of it")
    connection.close()
    open_connection(spec).close()
    relay.forget(spec.key)


def test_large_answers_come_at_once(lab_host: LabHost) -> None:
    connection = open_connection(lab_host.spec("ssh"))
    try:
        connection.conn.getCapabilities()  # libvirtd reads the machine the first time
        started = time.monotonic()
        for _ in range(10):
            connection.conn.getCapabilities()
        assert time.monotonic() - started < 3  # one over libssh: five seconds
    finally:
        connection.close()


def test_a_password_signs_in_without_standing_in_argv_or_environment(lab_host: LabHost) -> None:
    spec = lab_host.spec("ssh", key="password", key_file="", password="rootpass")
    connection = open_connection(spec)
    try:
        assert connection.conn.getHostname() == "h1.lab"
        pids = ssh_processes(os.getpid(), Path(relay_of(spec).path).name)
        assert pids
        for pid in pids:
            seen = Path(f"/proc/{pid}/cmdline").read_bytes() + Path(f"/proc/{pid}/environ").read_bytes()
            assert b"rootpass" not in seen
    finally:
        connection.close()
        relay.forget(spec.key)


def test_libvirt_that_does_not_run_is_told_as_such(lab_host: LabHost) -> None:
    spec = lab_host.spec("ssh", key="stopped")
    try:
        lab_host.kill_libvirtd("TERM")
        with pytest.raises(VirtError) as raised:
            open_connection(spec)
        assert raised.value.code == "unreachable"
    finally:
        lab_host.start_libvirtd()
        relay.forget(spec.key)


def test_a_killed_process_leaves_no_ssh_behind(lab_host: LabHost) -> None:
    spec = lab_host.spec("ssh", key="orphan")
    program = (
        "import sys, time; from dashboard.virt.uri import HostSpec; from dashboard.virt.connection import open_connection;"
        f"c = open_connection({spec!r}); print('open', flush=True); time.sleep(60)"
    )
    child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    with child.stdout:
        assert child.stdout.readline() == "open\n"
    assert ssh_processes(child.pid)
    child.kill()
    child.wait()
    wait_for(lambda: not ssh_processes(child.pid), seconds=10, saying="ssh ended with its process")
