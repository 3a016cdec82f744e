"""A host's libvirt socket brought here by OpenSSH: one ssh process per host and process of ours, ended with it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from pathlib import Path

from dashboard.virt.errors import VirtError
from dashboard.virt.ssh import ssh_command, ssh_environment
from dashboard.virt.uri import HostSpec

REMOTE_SOCKET = "/run/libvirt/libvirt-sock"
NAME = "kvmweb-relay-"
"""Begins the names of the folders of relays; a connection through one is not a local one."""
COMPLAINTS = (
    ("host key verification failed", "host_key"),
    ("host identification has changed", "host_key"),
    ("permission denied", "auth"),
    ("too many authentication failures", "auth"),
    ("forwarding", "denied"),
)

IDLE_SECONDS = 60.0
LAST_WORDS_SECONDS = 0.05
"""What ssh says of an end is read this much later than the end is noticed."""

_numbers = count(1)
_lock = threading.Lock()
_relays: dict[tuple[int, str], Relay] = {}
_turns: dict[str, threading.Lock] = {}


class Relay:
    """One running ssh that listens on `path` here and speaks to libvirt there."""

    def __init__(self, spec: HostSpec) -> None:
        _sweep()
        self.spec = spec
        self.users = 0
        self.unused_since = time.monotonic()
        self.folder = Path(tempfile.mkdtemp(prefix=f"{NAME}{os.getpid()}-"))
        self.path = str(self.folder / f"libvirt-{next(_numbers)}")
        self.complaint = ""
        # Its standard input is a pipe of ours: the remote `cat`, and with it ssh, ends when this process does.
        self.process = subprocess.Popen(
            ssh_command(
                spec,
                {
                    "ControlMaster": "no",
                    "ControlPath": "none",
                    "ExitOnForwardFailure": "yes",
                    "LogLevel": "INFO",
                    "StreamLocalBindMask": "0177",
                    "StreamLocalBindUnlink": "yes",
                },
                ["-L", f"{self.path}:{REMOTE_SOCKET}"],
                ["cat"],
            ),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=ssh_environment(spec, self.folder),
            start_new_session=True,
        )
        threading.Thread(target=self._listen, name=f"relay-{spec.key}", daemon=True).start()

    def _listen(self) -> None:
        """Keep the last thing ssh said, and clear up after it."""
        assert self.process.stderr is not None  # noqa: S101 - a pipe was asked for
        with self.process.stderr as stream:
            for line in stream:
                self.complaint = line.decode("utf-8", "replace").strip() or self.complaint
        self.process.wait()
        assert self.process.stdin is not None  # noqa: S101 - a pipe was asked for
        with suppress(OSError):
            self.process.stdin.close()
        for left in (Path(self.path), self.folder / "password"):
            left.unlink(missing_ok=True)
        with suppress(OSError):
            self.folder.rmdir()

    def alive(self) -> bool:
        """Whether ssh runs."""
        return self.process.poll() is None

    def wait_ready(self, until: float) -> None:
        """Until the socket takes connections. Raises VirtError with what ssh said, or "timeout"."""
        while self.alive():
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe, suppress(OSError):
                if Path(self.path).exists():
                    probe.connect(self.path)
                    return
            if time.monotonic() > until:
                self.close()
                raise VirtError("timeout", "ssh had not signed in by the deadline")
            time.sleep(0.02)
        time.sleep(LAST_WORDS_SECONDS)
        said = self.complaint.lower()
        code = next((code for part, code in COMPLAINTS if part in said), "unreachable")
        raise VirtError(code, self.complaint or "ssh ended without a word")

    def close(self) -> None:
        """End ssh, and every connection through it."""
        with suppress(OSError):
            self.process.terminate()


def local_socket(spec: HostSpec, until: float) -> str:
    """The path here of the host's libvirt socket; starts ssh if none runs for this host. Raises VirtError."""
    key = (os.getpid(), spec.key)
    with _lock:
        turn = _turns.setdefault(spec.key, threading.Lock())
    if not turn.acquire(timeout=max(0.0, until - time.monotonic())):
        raise VirtError("timeout", "another sign-in to this host did not end in time")
    try:
        relay = _relays.get(key)
        if relay is None or not relay.alive() or relay.spec != spec:
            if relay is not None:
                relay.close()
            relay = Relay(spec)
            relay.wait_ready(until)
            _relays[key] = relay
        relay.unused_since = time.monotonic()  # whoever asks is about to use it: it does not end now
        return relay.path
    finally:
        turn.release()


def runs(spec: HostSpec) -> bool:
    """Whether a relay to this host stands."""
    relay = _relays.get((os.getpid(), spec.key))
    return relay is not None and relay.spec == spec and relay.alive()


def explained(spec: HostSpec, error: VirtError) -> VirtError:
    """libvirt only heard its connection end; what ssh said of it is the better reason."""
    relay = _relays.get((os.getpid(), spec.key)) if spec.transport == "ssh" else None
    if relay is None:
        return error
    if not relay.complaint:
        time.sleep(LAST_WORDS_SECONDS)
    if "open failed" not in relay.complaint:
        return error
    said, relay.complaint = relay.complaint, ""
    denied = "permission denied" in said.lower() or "prohibited" in said.lower()
    return VirtError("denied" if denied else "unreachable", said)


def hold(spec: HostSpec) -> Callable[[str], None]:
    """Count a connection through the host's relay; call what is returned when it has ended."""
    relay = _relays.get((os.getpid(), spec.key))
    if relay is None:
        return lambda _reason: None
    relay.users += 1

    def release(_reason: str) -> None:
        relay.users -= 1
        if not relay.users:
            relay.unused_since = time.monotonic()
            _look_later(relay)

    return release


def _look_later(relay: Relay) -> None:
    timer = threading.Timer(IDLE_SECONDS, _end_if_unused, (relay,))
    timer.daemon = True
    timer.start()


def _end_if_unused(relay: Relay) -> None:
    """Once it is off the list nobody is given its socket any more: only then may it end."""
    key = (os.getpid(), relay.spec.key)
    with _turns[relay.spec.key]:
        if relay.users or not relay.alive():
            return
        if time.monotonic() - relay.unused_since < IDLE_SECONDS - 1:
            _look_later(relay)
            return
        if _relays.get(key) is relay:
            del _relays[key]
    relay.close()


def _sweep() -> None:
    """Remove what relays of killed processes left."""
    for folder in Path(tempfile.gettempdir()).glob(f"{NAME}*-*"):
        owner = folder.name.removeprefix(NAME).partition("-")[0]
        if owner.isdecimal() and not Path(f"/proc/{owner}").exists():
            shutil.rmtree(folder, ignore_errors=True)


def forget(key: str) -> None:
    """End the relay to a host that is removed or whose credentials changed."""
    relay = _relays.pop((os.getpid(), key), None)
    if relay is not None:
        relay.close()
