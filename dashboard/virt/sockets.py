"""This process's own sockets to one host: probing a port, and cutting sockets that libvirt waits on without end."""

from __future__ import annotations

import os
import socket
import stat
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from dashboard.virt.errors import VirtError
from dashboard.virt.uri import DEFAULT_PORTS, HostSpec, valid_address, valid_path

LOCAL_SOCKETS = ("libvirt-sock", "virtqemud-sock")
PROBE_SECONDS = 3.0
KEEPALIVE_SECONDS, KEEPALIVE_COUNT = 4, 3
"""A dead link becomes an error after 12 to 16 s, whether the connection is idle or waits for an answer."""
Address = tuple[int, int, int, str, Any]
"""An entry of socket.getaddrinfo."""


def probe(spec: HostSpec, seconds: float = PROBE_SECONDS) -> set[str]:
    """Connect to the host's port and hang up; the peers that its connections may have. A silent host costs `seconds`, not 135 s."""
    if spec.transport == "test":
        return set()
    if spec.transport == "local":
        names = {Path(valid_path(spec.socket)).name} if spec.socket else LOCAL_SOCKETS
        return {f"unix {name}" for name in names}
    port = spec.port or DEFAULT_PORTS[spec.transport]
    until = time.monotonic() + seconds
    found = _resolve(valid_address(spec.address), port, seconds)
    _first_that_answers(found, until)
    return {_peer_name(entry[4]) for entry in found}


def _resolve(address: str, port: int, seconds: float) -> list[Address]:
    """The addresses of a name. On a thread of its own: a name server that does not answer must not hold us."""
    found: list[Address] = []
    problem: list[OSError] = []

    def look_up() -> None:
        try:
            found.extend(socket.getaddrinfo(address, port, type=socket.SOCK_STREAM))
        except OSError as error:
            problem.append(error)

    thread = threading.Thread(target=look_up, name="resolve", daemon=True)
    thread.start()
    thread.join(seconds)
    if problem:
        raise VirtError("unreachable", f"{address}: {problem[0].strerror or problem[0]}") from problem[0]
    if thread.is_alive():
        raise VirtError("unreachable", f"{address}: no name server answered within {seconds:g} s")
    return found


def _first_that_answers(found: list[Address], until: float) -> None:
    error: OSError = TimeoutError("timed out")
    for family, kind, protocol, _name, address in found:
        left = until - time.monotonic()
        if left <= 0:
            break
        with socket.socket(family, kind, protocol) as probe_socket:
            probe_socket.settimeout(left)
            try:
                probe_socket.connect(address)
            except OSError as problem:
                error = problem
            else:
                return
    raise VirtError("unreachable", f"connect: {error.strerror or error}") from error


def _peer_name(address: object) -> str:
    if isinstance(address, tuple):
        return f"{address[0]} {address[1]}"
    # A UNIX socket by its last name: the listener's path need not be the one by which we reach it.
    path = address.decode("utf-8", "replace") if isinstance(address, bytes) else str(address)
    return f"unix {path.rsplit('/', 1)[-1]}"


def to_peers(peers: set[str]) -> dict[int, int]:
    """This process's stream sockets that are connected to one of `peers`: inode → file descriptor."""
    found: dict[int, int] = {}
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(OSError, ValueError):
            number = int(entry.name)
            status = os.fstat(number)
            if stat.S_ISSOCK(status.st_mode) and _connected_to(number, peers):
                found[status.st_ino] = number
    return found


def _connected_to(number: int, peers: set[str]) -> bool:
    with socket.socket(fileno=os.dup(number)) as copy:
        return _peer_name(copy.getpeername()) in peers


def keep_alive(sockets: dict[int, int]) -> None:
    """Have the kernel watch the links of these sockets (TCP keepalive, TCP_USER_TIMEOUT); UNIX sockets need none."""
    for number in sockets.values():
        with suppress(OSError), socket.socket(fileno=os.dup(number)) as copy:
            if copy.family not in (socket.AF_INET, socket.AF_INET6):
                continue
            copy.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            copy.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_SECONDS)
            copy.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_SECONDS)
            copy.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, KEEPALIVE_COUNT)
            copy.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, KEEPALIVE_SECONDS * KEEPALIVE_COUNT * 1000)


def cut(sockets: dict[int, int]) -> None:
    """End both directions of these sockets, so that whoever waits on them gets an error. Numbers reused since are left alone."""
    for inode, number in sockets.items():
        with suppress(OSError):
            copy = os.dup(number)
            try:
                if os.fstat(copy).st_ino == inode:
                    with socket.socket(fileno=os.dup(copy)) as end:
                        end.shutdown(socket.SHUT_RDWR)
            finally:
                os.close(copy)
