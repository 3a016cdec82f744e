"""Our own ssh against a real sshd: tunnels to a port, and the keys it shows."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dashboard.virt.errors import VirtError
from dashboard.virt.ssh import scan_host_keys, ssh_argv
from tests.lab.guests import LabGuest
from tests.lab.hosts import LabHost


def tunnel(argv: list[str], want: int) -> tuple[bytes, bytes]:
    """The first bytes from the tunnel's end, and ssh's complaint."""
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin and process.stdout and process.stderr
        data = process.stdout.read(want)
        process.stdin.close()
        if not data:
            return data, process.stderr.read()
        process.terminate()
    return data, b""


def test_a_tunnel_reaches_the_screen_of_a_guest_on_loopback(
    lab_host: LabHost, make_guest: Callable[..., LabGuest]
) -> None:
    guest = make_guest(lab_host, "screen", start=True)
    port = 5900 + int(guest.virsh("vncdisplay").rsplit(":", 1)[1])
    argv = ssh_argv(lab_host.spec("ssh"), forward=f"127.0.0.1:{port}")
    assert tunnel(argv, 12)[0] == b"RFB 003.008\n"
    started = time.monotonic()
    assert tunnel(argv, 12)[0] == b"RFB 003.008\n"
    assert time.monotonic() - started < 0.5, "the second tunnel shares the first one's connection"


def test_a_closed_port_is_told(lab_host: LabHost) -> None:
    data, complaint = tunnel(ssh_argv(lab_host.spec("ssh"), forward="127.0.0.1:1"), 1)
    assert data == b""
    assert b"refused" in complaint


def test_a_host_that_was_not_approved_gets_no_tunnel(lab_host: LabHost, tmp_path: Path) -> None:
    known = tmp_path / "known_hosts"
    known.write_text(f"{lab_host.address} {(lab_host.lab.dir / 'ssh' / 'hostkey_h2.pub').read_text()}")
    data, complaint = tunnel(
        ssh_argv(lab_host.spec("ssh", known_hosts=str(known)), forward=f"{lab_host.address}:22"), 1
    )
    assert data == b""
    assert b"Host key verification failed" in complaint


def test_the_keys_that_a_host_shows_are_its_own(lab_host: LabHost) -> None:
    keys = scan_host_keys(lab_host.address)
    public = lab_host.lab.dir / "ssh" / "hostkey_h1.pub"
    assert [key.kind for key in keys] == ["ssh-ed25519"]
    assert keys[0].line == f"{lab_host.address} {' '.join(public.read_text().split()[:2])}"
    told = subprocess.run(["ssh-keygen", "-lf", public], capture_output=True, text=True, check=True).stdout
    assert keys[0].fingerprint_sha256 in told


def test_the_line_that_was_shown_is_what_both_kinds_of_connection_take(lab_host: LabHost, tmp_path: Path) -> None:
    from dashboard.virt.connection import open_connection

    known = tmp_path / "known_hosts"
    known.write_text("".join(f"{key.line}\n" for key in scan_host_keys(lab_host.address)))
    spec = lab_host.spec("ssh", known_hosts=str(known))
    open_connection(spec).close()
    assert tunnel(ssh_argv(spec, forward=f"{lab_host.address}:22"), 4)[0] == b"SSH-"


def test_a_host_without_ssh_has_no_keys(lab_host: LabHost) -> None:
    with pytest.raises(VirtError) as raised:
        scan_host_keys(lab_host.address, 1, timeout=2)
    assert raised.value.code == "unreachable"
