"""The way to a guest's screen: its live display looked up by UUID at this moment, and a socket into it."""

from __future__ import annotations

import ipaddress
import os
import select
import socket
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dashboard.consoles.refusals import (
    GONE,
    LOOPBACK,
    NO_DISPLAY,
    NO_KEY,
    OFF,
    REMOTE_SOCKET,
    SPICE,
    UNREACHABLE,
    Refused,
)
from dashboard.inventory.credentials import spec_for
from dashboard.inventory.models import Guest
from dashboard.virt import relay
from dashboard.virt.connection import Connection, open_connection
from dashboard.virt.displays import Display, live_displays, open_display, same_run
from dashboard.virt.errors import VirtError
from dashboard.virt.ssh import ssh_argv, ssh_environment
from dashboard.virt.uri import HostSpec

CONNECT_SECONDS = 10.0
BANNER = 12
"""Bytes of "RFB 003.008\\n", the first thing that a VNC server says."""


@dataclass
class Target:
    """An open way to a display; `banner` has been read from it already."""

    sock: socket.socket
    banner: bytes = b""
    helper: subprocess.Popen[bytes] | None = None

    def shutdown(self) -> None:
        """Wake whoever waits on the socket; may be called from any thread."""
        with suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Give everything back."""
        self.sock.close()
        if self.helper is not None:
            self.helper.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.helper.wait(2)
            if self.helper.stderr:
                self.helper.stderr.close()


def open_target(guest: Guest) -> Target:
    """A socket into the guest's running VNC server, whose greeting has been seen. Refused says why there is none."""
    try:
        spec = spec_for(guest.host)
        connection = open_connection(spec, deadline=CONNECT_SECONDS)
    except VirtError as error:
        raise Refused(UNREACHABLE, str(error)) from error
    try:
        return _open(connection, spec, str(guest.uuid))
    except VirtError as error:
        why = {"not_found": GONE, "state": OFF}.get(error.code, UNREACHABLE)
        raise Refused(why, str(error)) from error
    finally:
        connection.close()
        relay.forget(spec.key)  # this process needs no second connection to the host


def _open(connection: Connection, spec: HostSpec, uuid: str) -> Target:
    display = vnc_of(live_displays(connection.conn, uuid))
    if spec.transport == "local":
        target = Target(open_display(connection.conn, uuid, display.index))
    elif spec.transport == "ssh":
        target = _through_ssh(spec, display)
    else:
        target = _direct(spec, display)
    try:
        target.banner = _greeting(target)
        # The port was read before it was used: only if the guest still is in the same run was it the guest's own.
        if not same_run(connection.conn, uuid, display.run):
            raise Refused(OFF, "it was restarted in between")
    except (VirtError, Refused):
        target.close()
        raise
    return target


def vnc_of(displays: list[Display]) -> Display:
    """The first VNC display, or Refused with what there is instead."""
    for display in displays:
        if display.kind == "vnc":
            return display
    raise Refused(SPICE if any(display.kind == "spice" for display in displays) else NO_DISPLAY)


def is_loopback(address: str) -> bool:
    """Whether a display that listens on `address` is reached from its own host only."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address in ("", "localhost")


def is_wildcard(address: str) -> bool:
    """Whether `address` means all addresses of the host."""
    try:
        return ipaddress.ip_address(address).is_unspecified
    except ValueError:
        return False


def _direct(spec: HostSpec, display: Display) -> Target:
    if display.port < 0:
        raise Refused(REMOTE_SOCKET if display.socket else NO_DISPLAY)
    if is_loopback(display.listen):
        raise Refused(LOOPBACK)
    try:
        # Always the host as enrolled: an address from its XML could lead anywhere.
        sock = socket.create_connection((spec.address, display.port), timeout=CONNECT_SECONDS)
    except OSError as error:
        raise Refused(UNREACHABLE, str(error)) from error
    sock.settimeout(None)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    return Target(sock)


def _through_ssh(spec: HostSpec, display: Display) -> Target:
    if display.port < 0:
        raise Refused(REMOTE_SOCKET if display.socket else NO_DISPLAY)
    host = "127.0.0.1" if is_wildcard(display.listen) or not display.listen else display.listen
    forward = f"[{host}]:{display.port}" if ":" in host else f"{host}:{display.port}"
    try:
        argv = ssh_argv(spec, forward=forward)
    except ValueError as error:
        raise Refused(NO_KEY, str(error)) from error
    ours, theirs = socket.socketpair()
    with theirs:
        helper = subprocess.Popen(
            argv,
            stdin=theirs.fileno(),
            stdout=theirs.fileno(),
            stderr=subprocess.PIPE,
            env=ssh_environment(spec, Path(spec.known_hosts).parent),
            start_new_session=True,
        )
    return Target(ours, helper=helper)


def _greeting(target: Target) -> bytes:
    """The server's first 12 bytes; Refused if none come in time or they are not VNC's."""
    until = time.monotonic() + CONNECT_SECONDS
    greeting = b""
    while len(greeting) < BANNER:
        ready, _, _ = select.select([target.sock], [], [], max(0.0, until - time.monotonic()))
        try:
            piece = target.sock.recv(BANNER - len(greeting)) if ready else b""
        except OSError as error:
            raise Refused(UNREACHABLE, str(error)) from error
        if not piece:
            raise Refused(UNREACHABLE, _complaint(target.helper))
        greeting += piece
    if not greeting.startswith(b"RFB "):
        raise Refused(NO_DISPLAY, "what listens there is not VNC")
    return greeting


def _complaint(helper: subprocess.Popen[bytes] | None) -> str:
    """What ssh said, as far as it has said it: a kept master connection never closes its stderr."""
    if helper is None or helper.stderr is None:
        return "the display does not answer"
    ready, _, _ = select.select([helper.stderr], [], [], 0.5)
    return os.read(helper.stderr.fileno(), 2000).decode(errors="replace").strip() if ready else "ssh says nothing"
