"""Turning guests on and off: each function looks first and acts only if need be, so that doing it twice is harmless."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import Any

import libvirt

from dashboard.virt.errors import VirtError, translate, virt_errors
from dashboard.virt.facts import GuestState
from dashboard.virt.guests import state_of

# What each function does by the state in which it finds the guest ("-": nothing to do, success; "!": VirtError "state"):
#
#              shutoff/crashed   running      paused    stopping   suspended (pm)   not there
#   start      create            -            !  (-*)   !          !                not_found
#   shutdown   -                 shutdown     !         -          libvirt decides  not_found
#   reboot     !                 reboot       !         !          libvirt decides  not_found
#   reset      !                 reset        reset     !          reset            not_found
#   destroy    -                 destroy      destroy   destroy    destroy          -  (a transient guest goes with it)
#   suspend    !                 suspend      -         !          !                not_found
#   resume     !                 -            resume    !          pMWakeup         not_found
#   save       !  (- if saved)   managedSave  the same  !          !                not_found
#   nmi        !                 injectNMI    !         !          !                not_found
#
#   * start(paused=True) of a paused guest is done already; of a running one it is refused.
#   A crashed guest whose QEMU was kept (<on_crash>preserve) is still active: only destroy and reset fit it.
_OFF = {GuestState.SHUTOFF, GuestState.CRASHED}
_STARTING = 30.0
"""Seconds to wait for somebody else's start; QEMU is given as long by libvirt to show its monitor."""


def state(conn: Any, uuid: str) -> tuple[GuestState, str]:
    """The guest's state and reason now (virDomainGetState). Raises VirtError ("not_found", …)."""
    with virt_errors():
        return state_of(*_find(conn, uuid).state(0))


def start(conn: Any, uuid: str, *, paused: bool = False, fresh: bool = False) -> None:
    """Start a guest, or restore it if it has a saved state. libvirt: createWithFlags.

    | paused | fresh | flags                | a saved state is            |
    |--------|-------|----------------------|-----------------------------|
    | no     | no    | 0                    | restored, running as it was |
    | yes    | no    | START_PAUSED         | restored, and stays paused  |
    | no/yes | yes   | also FORCE_BOOT      | thrown away                 |
    """
    flags = (libvirt.VIR_DOMAIN_START_PAUSED if paused else 0) | (libvirt.VIR_DOMAIN_START_FORCE_BOOT if fresh else 0)
    _act(
        conn,
        uuid,
        fits=_OFF,
        done={GuestState.PAUSED} if paused else {GuestState.RUNNING},
        call=lambda domain: domain.createWithFlags(flags),
    )


def shutdown(conn: Any, uuid: str, *, mode: str = "") -> None:
    """Ask the guest to shut down; it may take its time or ignore it. libvirt: shutdownFlags.

    mode "acpi": the power button; "agent": the guest agent; "": as libvirt sees fit (agent if it answers, else ACPI).
    """
    flags = {
        "": libvirt.VIR_DOMAIN_SHUTDOWN_DEFAULT,
        "acpi": libvirt.VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN,
        "agent": libvirt.VIR_DOMAIN_SHUTDOWN_GUEST_AGENT,
    }[mode]
    _act(
        conn,
        uuid,
        fits={GuestState.RUNNING, GuestState.SUSPENDED},
        done=_OFF | {GuestState.STOPPING},
        call=lambda domain: domain.shutdownFlags(flags),
    )


def reboot(conn: Any, uuid: str, *, mode: str = "") -> None:
    """Ask the guest to restart, with the same modes as `shutdown`. libvirt: reboot. Twice asked is twice rebooted."""
    flags = {
        "": libvirt.VIR_DOMAIN_REBOOT_DEFAULT,
        "acpi": libvirt.VIR_DOMAIN_REBOOT_ACPI_POWER_BTN,
        "agent": libvirt.VIR_DOMAIN_REBOOT_GUEST_AGENT,
    }[mode]
    _act(conn, uuid, fits={GuestState.RUNNING, GuestState.SUSPENDED}, call=lambda domain: domain.reboot(flags))


def reset(conn: Any, uuid: str) -> None:
    """The reset button: at once, without asking the guest. libvirt: reset."""
    fits = {GuestState.RUNNING, GuestState.PAUSED, GuestState.SUSPENDED}
    _act(conn, uuid, fits=fits, call=lambda domain: domain.reset(0))


def destroy(conn: Any, uuid: str) -> None:
    """Pull the plug. libvirt: destroyFlags(0), that is SIGTERM to QEMU and, where that does not help, SIGKILL.

    VIR_DOMAIN_DESTROY_GRACEFUL would spare the SIGKILL and leave a hung guest running: force off means force off.
    """
    try:
        with virt_errors():
            domain = _find(conn, uuid)
            if domain.isActive():
                domain.destroyFlags(0)
    except VirtError as error:
        if error.code == "not_found":
            return
        if _settled(conn, uuid, _OFF):
            return
        raise


def suspend(conn: Any, uuid: str) -> None:
    """Stop the guest's CPUs; it stays in memory. libvirt: suspend."""
    _act(conn, uuid, fits={GuestState.RUNNING}, done={GuestState.PAUSED}, call=lambda domain: domain.suspend())


def resume(conn: Any, uuid: str) -> None:
    """Let a paused guest, or one that sent itself to sleep, go on. libvirt: resume, pMWakeup."""

    def go_on(domain: Any) -> None:
        if _now(domain)[0] is GuestState.SUSPENDED:
            domain.pMWakeup(0)
        else:
            domain.resume()

    _act(conn, uuid, fits={GuestState.PAUSED, GuestState.SUSPENDED}, done={GuestState.RUNNING}, call=go_on)


def save(conn: Any, uuid: str) -> None:
    """Write the guest's memory to a file of the host and turn it off; the next start goes on from there.

    libvirt: managedSave(0): a running guest will run again, a paused one will be paused. It blocks until all is written:
    `progress` and `abort` may be called meanwhile, on another connection.
    """
    with virt_errors():
        domain = _find(conn, uuid)
        if _now(domain)[0] in _OFF and not domain.isActive() and domain.hasManagedSaveImage(0):
            return
        if not domain.isPersistent():
            raise VirtError("unsupported", "a transient guest has no place for a saved state")
    _act(conn, uuid, fits={GuestState.RUNNING, GuestState.PAUSED}, call=lambda domain: domain.managedSave(0))


def discard_saved(conn: Any, uuid: str) -> None:
    """Throw a saved state away: the next start boots. libvirt: managedSaveRemove."""
    with virt_errors():
        domain = _find(conn, uuid)
        if domain.hasManagedSaveImage(0):
            domain.managedSaveRemove(0)


def nmi(conn: Any, uuid: str) -> None:
    """A non-maskable interrupt: makes many systems write a crash dump. libvirt: injectNMI."""
    _act(conn, uuid, fits={GuestState.RUNNING}, call=lambda domain: domain.injectNMI(0))


def progress(conn: Any, uuid: str) -> float | None:
    """How far the guest's present job (save, migration, …) is, 0 to 1; None without one or where it does not tell.

    libvirt: jobStats, answered while the job runs.
    """
    try:
        with virt_errors():
            told = _find(conn, uuid).jobStats(0)
    except VirtError as error:
        if error.code == "state":  # it is off, so nothing goes on
            return None
        raise
    total = told.get("data_total") or told.get("memory_total")
    left = told.get("data_remaining", told.get("memory_remaining"))
    if told.get("type", 0) == libvirt.VIR_DOMAIN_JOB_NONE or not total or left is None:
        return None
    return max(0.0, min(1.0, 1 - int(left) / int(total)))


def abort(conn: Any, uuid: str) -> None:
    """End the guest's present job, if there is one: its caller gets VirtError "aborted". libvirt: abortJob."""
    try:
        with virt_errors():
            _find(conn, uuid).abortJob()
    except VirtError as error:
        if error.code != "state":
            raise


def _find(conn: Any, uuid: str) -> Any:
    return conn.lookupByUUIDString(uuid)


def _now(domain: Any) -> tuple[GuestState, str]:
    """The state; of a guest that somebody is starting just now (libvirt calls it paused) the one that follows."""
    until = time.monotonic() + _STARTING
    while True:
        now = state_of(*domain.state(0))
        if now[1] != "starting up" or time.monotonic() > until:
            return now
        time.sleep(0.05)


def _settled(conn: Any, uuid: str, done: Collection[GuestState]) -> bool:
    try:
        with virt_errors():
            return _now(_find(conn, uuid))[0] in done
    except VirtError:
        return False


def _act(
    conn: Any,
    uuid: str,
    *,
    fits: Collection[GuestState],
    call: Callable[[Any], object],
    done: Collection[GuestState] = (),
) -> None:
    """Look, act, and if acting fails look again: somebody else may have done it in between."""
    with virt_errors():
        domain = _find(conn, uuid)
        now, reason = _now(domain)
    if now in done:
        return
    if now not in fits or (now in _OFF and _active(domain)):
        raise VirtError("state", f"the guest is {now}{f' ({reason})' if reason else ''}")
    try:
        call(domain)
    except libvirt.libvirtError as error:
        if _settled(conn, uuid, done):
            return
        raise translate(error) from error


def _active(domain: Any) -> bool:
    with virt_errors():
        return bool(domain.isActive())
