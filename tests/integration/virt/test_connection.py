"""Opening, losing and giving up connections to real hosts that misbehave in every way we know."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import libvirt
import pytest

from dashboard.virt import events
from dashboard.virt.connection import Connection, open_connection
from dashboard.virt.errors import VirtError
from dashboard.virt.uri import HostSpec, Transport
from tests.lab.hosts import LabHost, continue_process, stop_process, wait_for

TRANSPORTS: list[Transport] = ["local", "ssh", "tls", "tcp"]


def open_fails(spec: HostSpec, *, within: float, deadline: float = 10.0) -> VirtError:
    """The error with which opening fails; it must come `within` seconds."""
    started = time.monotonic()
    with pytest.raises(VirtError) as raised:
        open_connection(spec, deadline=deadline)
    assert time.monotonic() - started < within
    return raised.value


def opening_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("open-")]


@contextmanager
def opened(spec: HostSpec) -> Iterator[Connection]:
    connection = open_connection(spec)
    try:
        yield connection
    finally:
        connection.close()


@contextmanager
def frozen_libvirtd(host: LabHost) -> Iterator[None]:
    pid = host.libvirtd_pid
    stop_process(pid)
    try:
        yield
    finally:
        continue_process(pid)
        wait_for(host.answers, saying="libvirtd goes on")


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_each_transport_reaches_the_host(lab_host: LabHost, transport: Transport) -> None:
    with opened(lab_host.spec(transport)) as connection:
        assert connection.conn.getHostname() == "h1.lab"
        assert connection.alive()
    assert not connection.alive()


def test_an_ssh_password_signs_in_too(lab_host: LabHost) -> None:
    with opened(lab_host.spec("ssh", key_file="", password="rootpass")) as connection:
        assert connection.conn.getHostname() == "h1.lab"


def test_wrong_credentials_are_told_from_an_absent_host(lab_host: LabHost, tmp_path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "other"], check=True)
    wrong = [
        lab_host.spec("ssh", key_file=str(tmp_path / "other")),
        lab_host.spec("ssh", key_file="", password="wrong"),
        lab_host.spec("tcp", password="wrong"),
        lab_host.spec("tcp", user="nobody"),
    ]
    for spec in wrong:
        assert open_fails(spec, within=9).code == "auth", spec
    absent = lab_host.spec("tcp", address=lab_host.address.rsplit(".", 1)[0] + ".99")
    assert open_fails(absent, within=5).code == "unreachable"


def test_certificates_of_another_authority_are_refused(lab_host: LabHost, tmp_path: Path) -> None:
    for name in ("clientcert.pem", "clientkey.pem"):
        (tmp_path / name).write_bytes((lab_host.pki_dir / name).read_bytes())
    (tmp_path / "cacert.pem").write_bytes((lab_host.lab.dir / "pki" / "bad" / "cacert.pem").read_bytes())
    assert open_fails(lab_host.spec("tls", pki_dir=str(tmp_path)), within=5).code in ("auth", "host_key")


def test_a_host_key_that_was_not_approved_is_refused_and_not_learned(lab_host: LabHost, tmp_path: Path) -> None:
    unknown = tmp_path / "unknown"
    unknown.write_text("")
    other = tmp_path / "other"
    other.write_text(f"{lab_host.address} {(lab_host.lab.dir / 'ssh' / 'hostkey_h2.pub').read_text()}")
    for file in (unknown, other):
        before = file.read_text()
        error = open_fails(lab_host.spec("ssh", known_hosts=str(file)), within=8)
        assert error.code == "host_key", error
        assert file.read_text() == before


def test_a_swapped_host_key_is_refused_until_it_is_approved(lab_host: LabHost) -> None:
    key = f"/proc/{lab_host.pid}/root/etc/ssh/lab_host_key"
    kept = Path(key).read_bytes()
    restart = "kill $(cat /run/sshd.pid); sleep 0.3; /usr/sbin/sshd"
    try:
        Path(key).write_bytes((lab_host.lab.dir / "ssh" / "hostkey_h3").read_bytes())
        lab_host.exec("sh", "-c", restart)
        assert open_fails(lab_host.spec("ssh"), within=8).code == "host_key"
    finally:
        Path(key).write_bytes(kept)
        lab_host.exec("sh", "-c", restart)
    open_connection(lab_host.spec("ssh")).close()


def test_fields_that_may_not_stand_in_a_uri_run_nothing(lab_host: LabHost, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    for address in (
        f"{lab_host.address}?command=touch%20{canary}",
        f"{lab_host.address}/system?netcat=touch {canary}#",
    ):
        assert open_fails(lab_host.spec("ssh", address=address), within=1).code == "invalid"
    key = f"{lab_host.ssh_key}&command=touch {canary}"
    open_fails(lab_host.spec("ssh", key_file=key), within=8)
    assert not canary.exists()


def test_a_stopped_libvirtd_is_unreachable(lab_host: LabHost) -> None:
    lab_host.kill_libvirtd()
    try:
        for transport in TRANSPORTS:
            assert open_fails(lab_host.spec(transport), within=5).code == "unreachable", transport
    finally:
        lab_host.start_libvirtd()


def test_a_black_hole_costs_three_seconds(lab_host: LabHost) -> None:
    lab_host.drop(16509)
    try:
        assert open_fails(lab_host.spec("tcp"), within=4).code == "unreachable"
    finally:
        lab_host.undrop(16509)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_opening_a_hung_libvirtd_ends_at_the_deadline_and_leaves_no_thread(
    lab_host: LabHost, transport: Transport
) -> None:
    with frozen_libvirtd(lab_host):
        assert open_fails(lab_host.spec(transport), deadline=2.0, within=3.0).code == "timeout"
        wait_for(lambda: not opening_threads(), seconds=5, saying="the thread that waited has ended")
    open_connection(lab_host.spec(transport)).close()


def test_a_lost_link_ends_the_blocked_call(lab_host: LabHost) -> None:
    with opened(lab_host.spec("tcp")) as connection:
        told: list[tuple[str, float]] = []
        connection.on_close(lambda reason: told.append((reason, time.monotonic())))
        started = time.monotonic()
        lab_host.cut()
        try:
            with pytest.raises(libvirt.libvirtError):
                connection.conn.listAllDomains()
            assert 10 < time.monotonic() - started < 22
            wait_for(lambda: told, seconds=2, saying="the close callback")
            assert told[0][0] in ("error", "eof")
            assert not connection.alive()
            started = time.monotonic()
            connection.close()
            assert time.monotonic() - started < 1
        finally:
            lab_host.uncut()
            wait_for(lambda: not _refused(lab_host.spec("tcp")), seconds=15, saying="the link is back")


def _refused(spec: HostSpec) -> bool:
    with suppress(VirtError):
        open_connection(spec).close()
        return False
    return True


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_killed_libvirtd_is_told_at_once(lab_host: LabHost, transport: Transport) -> None:
    told: list[str] = []
    with opened(lab_host.spec(transport)) as connection:
        connection.on_close(told.append)
        try:
            lab_host.kill_libvirtd()
            wait_for(lambda: told, seconds=1, saying="the close callback")
            assert not connection.alive()
        finally:
            lab_host.start_libvirtd()
    assert len(told) == 1
    late: list[str] = []
    connection.on_close(late.append)
    assert late == told


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_abort_ends_a_call_that_hangs(lab_host: LabHost, transport: Transport) -> None:
    with opened(lab_host.spec(transport)) as connection, frozen_libvirtd(lab_host):
        threading.Timer(0.5, connection.abort).start()
        started = time.monotonic()
        with pytest.raises(libvirt.libvirtError):
            connection.conn.listAllDomains()
        assert time.monotonic() - started < 2


def test_closing_a_hung_host_takes_no_longer_than_promised(lab_host: LabHost) -> None:
    connection = open_connection(lab_host.spec("tcp"))
    with frozen_libvirtd(lab_host):
        started = time.monotonic()
        connection.close(seconds=1.0)
        assert time.monotonic() - started < 2.5


def test_closing_under_a_running_call_ends_the_call_and_frees_nothing_it_uses(lab_host: LabHost) -> None:
    connection = open_connection(lab_host.spec("tcp"))
    raised: list[libvirt.libvirtError] = []

    def call(conn: Any) -> None:
        try:
            conn.listAllDomains()
        except libvirt.libvirtError as error:
            raised.append(error)

    with frozen_libvirtd(lab_host):
        calling = threading.Thread(target=call, args=(connection.conn,))
        calling.start()
        time.sleep(0.3)
        connection.close(seconds=1.0)
        calling.join(5)
    assert len(raised) == 1
    with pytest.raises(VirtError):
        connection.conn.listAllDomains()


@pytest.mark.parametrize("dead", [False, True])
def test_nothing_is_left_of_a_closed_connection(lab_host: LabHost, dead: bool) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    left = []
    for transport in TRANSPORTS:
        connection = open_connection(lab_host.spec(transport))
        events.subscribe(connection, lambda _event: None)
        connection.conn.listAllDomains()
        left.append((connection, weakref.ref(connection.conn)))
    if dead:
        lab_host.kill_libvirtd()
        lab_host.start_libvirtd()
    for connection, _ in left:
        connection.close()
    wait_for(
        lambda: not [reference for _, reference in left if reference() is not None],
        seconds=3,
        saying="objects are freed",
    )
    wait_for(lambda: len(list(Path("/proc/self/fd").iterdir())) <= before, seconds=3, saying="files are closed")


def test_one_hung_host_does_not_delay_another(lab_hosts: Callable[[int], list[LabHost]]) -> None:
    hung, well = lab_hosts(2)
    with frozen_libvirtd(hung):
        waiting = threading.Thread(target=_refused, args=(hung.spec("tcp"),), daemon=True)
        waiting.start()
        started = time.monotonic()
        open_connection(well.spec("tcp")).close()
        assert time.monotonic() - started < 5
    waiting.join(15)


FORKED = """
import os, sys
from dashboard.virt import events
from dashboard.virt.connection import open_connection
from dashboard.virt.errors import VirtError
from dashboard.virt.pool import borrow, pool
from dashboard.virt.uri import HostSpec
spec = HostSpec("k", "local", socket=sys.argv[1])
with borrow(spec) as conn:
    conn.listAllDomains()
first = pool()
child = os.fork()
if not child:
    assert pool() is not first
    try:
        open_connection(spec)
    except VirtError as error:
        os._exit(7 if error.code == "internal" else 8)
    os._exit(9)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
with borrow(spec) as conn:
    conn.listAllDomains()
print("well")
"""


def test_a_forked_child_is_refused_and_its_parent_goes_on(lab_host: LabHost) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORKED, lab_host.socket], capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.stdout, done.returncode) == ("well\n", 0), done.stderr
