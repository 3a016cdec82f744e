"""One connection to one libvirt: opened within a deadline, kept alive, told of its own death, closed for good."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import libvirt

from dashboard.virt import eventloop, relay, sockets
from dashboard.virt.errors import VirtError, translate
from dashboard.virt.uri import HostSpec, build_uri

log = logging.getLogger(__name__)

OPENING_AT_ONCE = 16
CLOSE_REASONS = {
    libvirt.VIR_CONNECT_CLOSE_REASON_ERROR: "error",
    libvirt.VIR_CONNECT_CLOSE_REASON_EOF: "eof",
    libvirt.VIR_CONNECT_CLOSE_REASON_KEEPALIVE: "error",
    libvirt.VIR_CONNECT_CLOSE_REASON_CLIENT: "client",
}
_CREDENTIALS = [libvirt.VIR_CRED_AUTHNAME, libvirt.VIR_CRED_PASSPHRASE, libvirt.VIR_CRED_NOECHOPROMPT]
"""What SASL asks for. Nothing else is ever answered."""

_opening = threading.BoundedSemaphore(OPENING_AT_ONCE)
_turns: dict[str, threading.Lock] = {}
_turns_lock = threading.Lock()


class Connection:
    """An open connection, for one thread at a time: see docs/adr/0004."""

    def __init__(self, spec: HostSpec, conn: Any, own_sockets: dict[int, int]) -> None:
        self.spec = spec
        self._conn = conn
        self.opened_at = time.time()
        self.pid = os.getpid()
        self.cleanups: list[Callable[[], None]] = []
        """What `close()` takes back first, such as event subscriptions."""
        self._sockets = own_sockets
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[str], None]] = []
        self._ended: str | None = None
        self._watch()

    @property
    def conn(self) -> Any:
        """libvirt's own object, to be handed only to functions of `virt`. Raises VirtError once it is closed."""
        if self._conn is None:
            raise VirtError("unreachable", "the connection has been closed")
        return self._conn

    def _watch(self) -> None:
        if self.spec.transport == "test":
            return  # lives in this process, and is never lost
        sockets.keep_alive(self._sockets)
        self.conn.registerCloseCallback(self._on_closed, None)

    def _on_closed(self, _conn: Any, reason: int, _opaque: object) -> None:
        self._end(CLOSE_REASONS.get(reason, "error"))

    def _end(self, reason: str) -> None:
        with self._lock:
            if self._ended is not None:
                return
            self._ended = reason
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback(reason)

    def on_close(self, callback: Callable[[str], None]) -> None:
        """Call `callback(reason)` once when the connection has ended ("error", "eof", "client").

        It runs on the event thread (or in `close()`) and may not call libvirt. If it has ended already: now.
        """
        with self._lock:
            if self._ended is None:
                self._callbacks.append(callback)
                return
            reason = self._ended
        callback(reason)

    def alive(self) -> bool:
        """True while neither side has closed it. Asks nobody: a link that has gone silent still counts as alive."""
        conn = self._conn
        if conn is None or self._ended is not None or self.pid != os.getpid():
            return False
        try:
            return bool(conn.isAlive() == 1)
        except libvirt.libvirtError:
            return False

    def abort(self) -> None:
        """Cut the connection under its calls: each that waits gets an error at once. For a host that hangs."""
        sockets.cut(self._sockets)

    def close(self, seconds: float = 5.0) -> None:
        """Give everything back. Calls that still run elsewhere get an error; a host that hangs is cut off after `seconds`."""
        if self.pid != os.getpid():
            return  # the parent's connection: touching it would end it there
        self._end("client")
        closer = threading.Thread(target=self._close, name=f"close-{self.spec.key}", daemon=True)
        closer.start()
        if eventloop.on_event_thread():
            return
        closer.join(seconds)
        if closer.is_alive():
            self.abort()
            closer.join(seconds)

    def _close(self) -> None:
        while self.cleanups:
            with suppress(libvirt.libvirtError):
                self.cleanups.pop()()
        conn, self._conn = self._conn, None
        if conn is None:
            return
        if self.spec.transport != "test":
            with suppress(libvirt.libvirtError):
                conn.unregisterCloseCallback()
        # virConnectClose frees what a call on another thread still uses. While anybody else holds the object we only cut
        # its socket, and Python closes it when the last call has let go. (Two references: this variable and the argument.)
        if sys.getrefcount(conn) > 2:
            self.abort()
            return
        with suppress(libvirt.libvirtError):
            conn.close()


class _Attempt:
    """One `open()` on a thread that may be given up."""

    def __init__(self, spec: HostSpec, uri: str) -> None:
        self.spec, self.uri = spec, uri
        self.done = threading.Event()
        self.given_up = False
        self.conn: Any = None
        self.error: libvirt.libvirtError | None = None
        self._told_password = False
        self._lock = threading.Lock()

    def _answer(self, credentials: list[list[Any]], _opaque: object) -> int:
        """libvirt's questions during sign-in: [type, prompt, challenge, default, answer]. -1 refuses."""
        for credential in credentials:
            if credential[0] == libvirt.VIR_CRED_AUTHNAME:
                credential[4] = self.spec.user
            elif self.spec.password and not self._told_password:
                credential[4] = self.spec.password
                self._told_password = True
            else:
                return -1  # asked again means refused
        return 0

    def run(self) -> None:
        conn = None
        # The test driver knows no flags.
        flags = 0 if self.spec.transport == "test" else libvirt.VIR_CONNECT_NO_ALIASES
        try:
            conn = libvirt.openAuth(self.uri, [_CREDENTIALS, self._answer, None], flags)
        except libvirt.libvirtError as error:
            self.error = error
        with self._lock:
            if self.given_up and conn is not None:
                with suppress(libvirt.libvirtError):
                    conn.close()
            else:
                self.conn = conn
            self.done.set()

    def result(self, seconds: float) -> Any:
        """The virConnect, or None if it is not there in time; then the attempt closes itself should it ever end."""
        self.done.wait(max(0.0, seconds))
        with self._lock:
            if not self.done.is_set():
                self.given_up = True
                return None
        if self.error is not None:
            raise translate(self.error) from self.error
        return self.conn


def open_connection(spec: HostSpec, *, deadline: float = 10.0, in_line: float = 0.0) -> Connection:
    """Open a connection to a host within `deadline` seconds, whatever the host does (virConnectOpenAuth).

    `in_line`: up to so many seconds more for waiting until few enough others are being opened by this process. A host
    that has not been asked yet is not one that does not answer.
    Raises VirtError: unreachable, timeout, auth, host_key, denied, invalid (a field that may not stand in a URI).
    """
    until = time.monotonic() + deadline
    eventloop.ensure()
    stood = spec.transport == "ssh" and relay.runs(spec)
    try:
        return _open_in_turn(spec, until, deadline, in_line)
    except VirtError as error:
        if not stood or error.code != "unreachable":
            raise
        time.sleep(relay.LAST_WORDS_SECONDS)
        if relay.runs(spec):
            raise
        # A relay whose link had been cut ended only now. That says nothing of the host: once more, by a new one.
        return _open_in_turn(spec, until, deadline, in_line)


def _open_in_turn(spec: HostSpec, until: float, deadline: float, in_line: float) -> Connection:
    uri, peers = _way(spec, until, deadline)
    turn = _turn_of(peers)
    # One opening per host at a time, so that the sockets that appear meanwhile are known to be this one's.
    if not turn.acquire(timeout=max(0.0, until - time.monotonic())):
        raise VirtError("timeout", f"another connection to this host was being opened for {deadline:g} s")
    try:
        asked = time.monotonic()
        if not _opening.acquire(timeout=max(0.0, until - asked) + in_line):
            raise VirtError("timeout", f"{OPENING_AT_ONCE} other connections were being opened for {deadline:g} s")
        try:
            until += min(in_line, time.monotonic() - asked)
            return _open(spec, uri, peers, until, deadline)
        finally:
            _opening.release()
    finally:
        turn.release()


def _way(spec: HostSpec, until: float, deadline: float) -> tuple[str, set[str]]:
    """The URI, and the peers that the connection's sockets will have. An SSH host has a socket here: its relay's."""
    try:
        near = spec
        if spec.transport == "ssh":
            if not relay.runs(spec):
                sockets.probe(spec, min(sockets.PROBE_SECONDS, deadline))
            near = HostSpec(key=spec.key, transport="local", socket=relay.local_socket(spec, until))
        return build_uri(near), sockets.probe(near, min(sockets.PROBE_SECONDS, deadline))
    except ValueError as error:
        raise VirtError("invalid", str(error)) from error


def _open(spec: HostSpec, uri: str, peers: set[str], until: float, deadline: float) -> Connection:
    before = sockets.to_peers(peers) if peers else {}
    attempt = _Attempt(spec, uri)
    threading.Thread(target=attempt.run, name=f"open-{spec.key}", daemon=True).start()
    try:
        conn = attempt.result(until - time.monotonic())
    except VirtError as error:
        raise relay.explained(spec, error) from error
    new = {inode: number for inode, number in sockets.to_peers(peers).items() if inode not in before} if peers else {}
    if conn is None:
        sockets.cut(new)  # else libvirt waits for ever, and with it a thread and a socket
        raise VirtError("timeout", f"libvirt's open() had not returned after {deadline:g} s")
    try:
        connection = Connection(spec, conn, new)
        if spec.transport == "ssh":
            connection.on_close(relay.hold(spec))
        return connection
    except libvirt.libvirtError as error:
        with suppress(libvirt.libvirtError):
            conn.close()
        raise translate(error) from error


def _turn_of(peers: set[str]) -> threading.Lock:
    """Of the host; one that has no sockets (the test driver's) waits for nobody."""
    if not peers:
        return threading.Lock()
    name = "|".join(sorted(peers))
    with _turns_lock:
        return _turns.setdefault(name, threading.Lock())
