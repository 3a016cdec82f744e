"""SSH hosts: one ssh per host, ended with its connections or its process, and plain reasons when it cannot."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from dashboard.virt import relay
from dashboard.virt.connection import open_connection
from dashboard.virt.errors import VirtError
from tests.lab.hosts import LabHost, wait_for


def ssh_processes(host: LabHost) -> list[str]:
    found = subprocess.run(
        ["pgrep", "-f", f"ssh .*libvirt-sock.* {host.address} cat"], capture_output=True, text=True, check=False
    )
    return found.stdout.split()


def test_connections_to_one_host_share_one_ssh(lab_host: LabHost) -> None:
    spec = lab_host.spec("ssh", key="shared")
    before = len(ssh_processes(lab_host))
    first, second = open_connection(spec), open_connection(spec)
    try:
        assert first.conn.getHostname() == second.conn.getHostname() == "h1.lab"
        assert len(ssh_processes(lab_host)) == before + 1
    finally:
        first.close()
        second.close()
        relay.forget(spec.key)
    wait_for(lambda: len(ssh_processes(lab_host)) == before, saying="ssh ended")


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
    relay._relays[(__import__("os").getpid(), spec.key)].process.kill()
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
        for pid in ssh_processes(lab_host):
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
    before = len(ssh_processes(lab_host))
    program = (
        "import sys, time; from dashboard.virt.uri import HostSpec; from dashboard.virt.connection import open_connection;"
        f"c = open_connection({spec!r}); print('open', flush=True); time.sleep(60)"
    )
    child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    with child.stdout:
        assert child.stdout.readline() == "open\n"
    assert len(ssh_processes(lab_host)) == before + 1
    child.kill()
    child.wait()
    wait_for(lambda: len(ssh_processes(lab_host)) == before, seconds=10, saying="ssh ended with its process")
