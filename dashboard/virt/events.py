"""What happens on a host, as libvirt tells it: every event it knows, handed on as one plain `Event`."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import libvirt

from dashboard.virt.connection import Connection
from dashboard.virt.errors import virt_errors
from dashboard.virt.facts import Event

log = logging.getLogger(__name__)
Sink = Callable[[Event], None]


def _names(prefix: str) -> dict[int, str]:
    """Numbers of a libvirt enumeration → their names in small letters ("VIR_DOMAIN_EVENT_STARTED_" → {0: "booted", …})."""
    found = {name.removeprefix(prefix): getattr(libvirt, name) for name in dir(libvirt) if name.startswith(prefix)}
    return {number: name.lower().replace("_", "-") for name, number in found.items() if not name.startswith("ID_")}


_LIFECYCLE = {
    getattr(libvirt, f"VIR_DOMAIN_EVENT_{name}"): (name.lower(), _names(f"VIR_DOMAIN_EVENT_{name}_"))
    for name in (
        "DEFINED",
        "UNDEFINED",
        "STARTED",
        "SUSPENDED",
        "RESUMED",
        "STOPPED",
        "SHUTDOWN",
        "PMSUSPENDED",
        "CRASHED",
    )
    if hasattr(libvirt, f"VIR_DOMAIN_EVENT_{name}")
}
_POOL = _names("VIR_STORAGE_POOL_EVENT_")
_NETWORK = _names("VIR_NETWORK_EVENT_")
_BLOCK_JOB = {0: "completed", 1: "failed", 2: "canceled", 3: "ready"}
_IO_ACTION = {0: "none", 1: "pause", 2: "report"}
_AGENT = {1: "connected", 2: "disconnected"}


def _event(domain: Any, kind: str, **detail: Any) -> Event:
    return Event(kind, domain.UUIDString(), domain.name(), detail, time.time())


def _lifecycle(domain: Any, number: int, reason: int) -> Event:
    name, reasons = _LIFECYCLE.get(number, ("unknown", {}))
    # Renaming says "undefined, renamed" under the old name, then "defined, renamed": the guest itself stays.
    # Undefining one that runs makes it transient: it goes when it stops.
    gone = name == "undefined" and reasons.get(reason) != "renamed" and domain.ID() == -1
    return _event(domain, "guest-gone" if gone else "guest", lifecycle=name, reason=reasons.get(reason, ""))


def _block_job(domain: Any, disk: str, kind: int, status: int) -> Event:
    return _event(domain, "block-job", disk=disk, type=kind, status=_BLOCK_JOB.get(status, "unknown"))


def _io_error(domain: Any, path: str, alias: str, action: int, reason: str) -> Event:
    return _event(
        domain, "guest", io_error=reason or "unknown", path=path, disk=alias, action=_IO_ACTION.get(action, "")
    )


def _job_done(domain: Any, facts: dict[str, Any]) -> Event:
    plain = {key: value for key, value in facts.items() if isinstance(value, int | float | str | bool)}
    return _event(domain, "job-done", **plain)


def _what(name: str, *keys: str) -> Callable[..., Event]:
    """An event that says "look again at this guest", with its facts under the names given."""

    def shape(domain: Any, *values: Any) -> Event:
        return _event(domain, "guest", what=name, **dict(zip(keys, values, strict=False)))

    return shape


_GUEST_EVENTS: dict[str, Callable[..., Event]] = {
    "LIFECYCLE": _lifecycle,
    "REBOOT": _what("reboot"),
    "RTC_CHANGE": _what("clock", "offset"),
    "WATCHDOG": _what("watchdog", "action"),
    "IO_ERROR_REASON": _io_error,
    "CONTROL_ERROR": _what("control-error"),
    "BLOCK_JOB_2": _block_job,
    "DISK_CHANGE": _what("disk-change", "old", "new", "disk", "reason"),
    "TRAY_CHANGE": _what("tray", "disk", "opened"),
    "PMWAKEUP": _what("wake-up", "reason"),
    "PMSUSPEND": _what("suspended", "reason"),
    "PMSUSPEND_DISK": _what("suspended-to-disk", "reason"),
    "BALLOON_CHANGE": _what("balloon", "memory_kib"),
    "DEVICE_REMOVED": _what("device-removed", "device"),
    "DEVICE_ADDED": _what("device-added", "device"),
    "DEVICE_REMOVAL_FAILED": _what("device-removal-failed", "device"),
    "AGENT_LIFECYCLE": lambda domain, state, _reason: _event(domain, "guest", agent=_AGENT.get(state, "disconnected")),
    "METADATA_CHANGE": _what("metadata", "type", "namespace"),
    "MIGRATION_ITERATION": lambda domain, number: _event(domain, "migration", iteration=number),
    "JOB_COMPLETED": _job_done,
    "BLOCK_THRESHOLD": _what("block-threshold", "disk", "path", "threshold", "excess"),
    "MEMORY_FAILURE": _what("memory-failure"),
    "MEMORY_DEVICE_SIZE_CHANGE": _what("memory-device", "device", "size"),
}
"""Event ids of libvirt without their prefix → how they are told. Not here: GRAPHICS, whose every mouse of a viewer counts."""


def subscribe(connection: Connection, callback: Sink) -> Callable[[], None]:
    """Call `callback(Event)` for everything that happens on this host, until the connection closes.

    The last event has the kind "closed". `callback` runs on the event thread: it must be quick and must not call
    libvirt. Events in a gap are lost: compare everything after each reconnect. Returns what ends the subscription.
    """
    undo: list[Callable[[], None]] = []
    with virt_errors():
        _guests(connection.conn, callback, undo)
        _pools(connection.conn, callback, undo)
        _networks(connection.conn, callback, undo)
    connection.on_close(
        lambda reason: _tell(callback, lambda: Event("closed", detail={"reason": reason}, at=time.time()))
    )

    def end() -> None:
        while undo:
            with suppress(libvirt.libvirtError):
                undo.pop()()

    connection.cleanups.append(end)
    return end


def _tell(callback: Sink, shape: Callable[[], Event]) -> None:
    try:
        callback(shape())
    except Exception:  # an exception here would be printed by libvirt's C code and lost
        log.exception("an event of libvirt could not be handled")


def _guests(conn: Any, callback: Sink, undo: list[Callable[[], None]]) -> None:
    for name, shape in _GUEST_EVENTS.items():
        number = getattr(libvirt, f"VIR_DOMAIN_EVENT_ID_{name}", None)
        if number is None:
            continue

        def heard(_conn: Any, domain: Any, *values: Any, shape: Callable[..., Event] = shape) -> None:
            # The last value is the opaque one that was given at registration.
            _tell(callback, lambda: shape(domain, *values[:-1]))

        _register(undo, conn.domainEventRegisterAny, conn.domainEventDeregisterAny, None, number, heard, None)


def _pools(conn: Any, callback: Sink, undo: list[Callable[[], None]]) -> None:
    def lifecycle(_conn: Any, pool: Any, number: int, _detail: int, _opaque: object) -> None:
        what = _POOL.get(number, "unknown")
        kind = "pool-gone" if what == "undefined" else "pool"
        _tell(callback, lambda: Event(kind, pool.UUIDString(), pool.name(), {"lifecycle": what}, time.time()))

    def refreshed(_conn: Any, pool: Any, _opaque: object) -> None:
        _tell(callback, lambda: Event("volumes", pool.UUIDString(), pool.name(), {}, time.time()))

    for number, heard in (
        (libvirt.VIR_STORAGE_POOL_EVENT_ID_LIFECYCLE, lifecycle),
        (libvirt.VIR_STORAGE_POOL_EVENT_ID_REFRESH, refreshed),
    ):
        _register(undo, conn.storagePoolEventRegisterAny, conn.storagePoolEventDeregisterAny, None, number, heard, None)


def _networks(conn: Any, callback: Sink, undo: list[Callable[[], None]]) -> None:
    def lifecycle(_conn: Any, network: Any, number: int, _detail: int, _opaque: object) -> None:
        what = _NETWORK.get(number, "unknown")
        kind = "network-gone" if what == "undefined" else "network"
        _tell(callback, lambda: Event(kind, network.UUIDString(), network.name(), {"lifecycle": what}, time.time()))

    number = libvirt.VIR_NETWORK_EVENT_ID_LIFECYCLE
    _register(undo, conn.networkEventRegisterAny, conn.networkEventDeregisterAny, None, number, lifecycle, None)


_ABSENT = (libvirt.VIR_ERR_NO_SUPPORT, libvirt.VIR_ERR_INVALID_ARG, libvirt.VIR_ERR_OPERATION_UNSUPPORTED)


def _register(
    undo: list[Callable[[], None]], register: Callable[..., int], deregister: Callable[[int], object], *args: Any
) -> None:
    """Register for one event; an older host that does not know it is no failure."""
    try:
        number = register(*args)
    except libvirt.libvirtError as error:
        if error.get_error_code() in _ABSENT:
            return
        raise

    def undo_one() -> None:
        deregister(number)

    undo.append(undo_one)
