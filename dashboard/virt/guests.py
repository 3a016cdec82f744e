"""Reading guests: what they are, in which state, how busy, and under which addresses."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import libvirt

from dashboard.virt.errors import virt_errors
from dashboard.virt.facts import GuestFacts, GuestState, GuestStats
from dashboard.virt.xml.domain import Domain
from dashboard.virt.xml.parse import XmlRefused

_STATES = {
    libvirt.VIR_DOMAIN_RUNNING: GuestState.RUNNING,
    libvirt.VIR_DOMAIN_BLOCKED: GuestState.RUNNING,  # Xen's word for a running guest that waits
    libvirt.VIR_DOMAIN_PAUSED: GuestState.PAUSED,
    libvirt.VIR_DOMAIN_SHUTDOWN: GuestState.STOPPING,
    libvirt.VIR_DOMAIN_SHUTOFF: GuestState.SHUTOFF,
    libvirt.VIR_DOMAIN_CRASHED: GuestState.CRASHED,
    libvirt.VIR_DOMAIN_PMSUSPENDED: GuestState.SUSPENDED,
}
_REASONS: dict[GuestState, tuple[str, ...]] = {
    GuestState.RUNNING: (
        "", "booted", "migrated", "restored", "from snapshot", "unpaused", "migration canceled", "save canceled",
        "woken", "crashed", "post-copy", "post-copy failed",
    ),
    GuestState.PAUSED: (
        "", "user", "migration", "save", "dump", "I/O error", "watchdog", "from snapshot", "shutting down", "snapshot",
        "crashed", "starting up", "post-copy", "post-copy failed", "API error",
    ),
    GuestState.STOPPING: ("", "user"),
    GuestState.SHUTOFF: ("", "shutdown", "destroyed", "crashed", "migrated", "saved", "failed", "from snapshot", "daemon"),
    GuestState.CRASHED: ("", "panicked"),
}  # fmt: skip
"""libvirt's reasons by number, as its header lists them (virDomainRunningReason and its sisters)."""
_AGENT_SECONDS = 2
_MAC = re.compile(r"(?:[0-9a-f]{2}:){5}[0-9a-f]{2}")
_MAX_ADDRESSES = 64


@virt_errors()
def read_guest(conn: Any, uuid: str) -> GuestFacts:
    """One guest. libvirt: lookup, state, XML and four flags. Raises VirtError ("not_found", …)."""
    domain = conn.lookupByUUIDString(uuid)
    state, reason = state_of(*domain.state())
    return _facts(
        conn,
        domain,
        state=state,
        reason=reason,
        persistent=bool(domain.isPersistent()),
        autostart=_autostart(domain),
        saved=_saved(domain),
    )


@virt_errors()
def read_guests(conn: Any, known: Mapping[str, GuestFacts] | None = None) -> list[GuestFacts]:
    """All guests: four lists and one statistics call whatever their number, and one XML call for each new guest.

    A guest that is in `known` with the same name, and active or not as before, keeps its XML and what was read from it;
    without `known` everything is read. A guest that vanishes meanwhile is left out.
    """
    domains = conn.listAllDomains(0)
    states = read_states(conn)
    persistent = _listed(conn, libvirt.VIR_CONNECT_LIST_DOMAINS_PERSISTENT)
    autostart = _listed(conn, libvirt.VIR_CONNECT_LIST_DOMAINS_AUTOSTART)
    saved = _listed(conn, libvirt.VIR_CONNECT_LIST_DOMAINS_MANAGEDSAVE)

    def read(domain: Any) -> GuestFacts | None:
        uuid = domain.UUIDString()
        if uuid not in states:
            return None
        state, reason = states[uuid]
        flags = {"persistent": uuid in persistent, "autostart": uuid in autostart, "saved": uuid in saved}
        before = (known or {}).get(uuid)
        if before and before.name == domain.name() and is_active(before.state) == is_active(state):
            return replace(
                before,
                state=state,
                reason=reason,
                persistent=flags["persistent"],
                autostart=flags["autostart"],
                saved=flags["saved"],
            )
        try:
            return _facts(conn, domain, state=state, reason=reason, **flags)
        except libvirt.libvirtError as error:
            if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
                return None
            raise

    return [facts for facts in map(read, domains) if facts is not None]


@virt_errors()
def read_states(conn: Any) -> dict[str, tuple[GuestState, str]]:
    """UUID → state and reason of every guest, from one call that no hung guest can delay (getAllDomainStats STATE)."""
    found = {}
    for domain, record in conn.getAllDomainStats(libvirt.VIR_DOMAIN_STATS_STATE, 0):
        found[domain.UUIDString()] = state_of(record.get("state.state", 0), record.get("state.reason", 0))
    return found


@virt_errors()
def read_stats(conn: Any) -> list[GuestStats]:
    """Counters of every active guest, from one call (getAllDomainStats).

    NOWAIT gives a guest that somebody else works on without the figures which need its QEMU; yet the first call into a hung
    QEMU blocks until that goes on, so this belongs on a connection and a thread of which nothing else depends.
    """
    groups = (
        libvirt.VIR_DOMAIN_STATS_STATE
        | libvirt.VIR_DOMAIN_STATS_CPU_TOTAL
        | libvirt.VIR_DOMAIN_STATS_BALLOON
        | libvirt.VIR_DOMAIN_STATS_VCPU
        | libvirt.VIR_DOMAIN_STATS_INTERFACE
        | libvirt.VIR_DOMAIN_STATS_BLOCK
    )
    flags = libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE | libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT
    return [_stats(domain.UUIDString(), record) for domain, record in conn.getAllDomainStats(groups, flags)]


def addresses(conn: Any, uuid: str) -> list[dict[str, Any]]:
    """[{"ip", "prefix", "mac", "source": "agent"|"lease"|"arp"}] of an active guest; loopback and link-local left out.

    The agent is asked only where libvirt says that it is connected, and gets 2 seconds; leases always; the host's ARP table
    only for what neither told. Each way may fail by itself (no agent, another DHCP server, no netlink) and is then left
    out. What a guest says about itself is checked to be addresses, at most 64 of them. Raises VirtError ("not_found").
    """
    with virt_errors():
        domain = conn.lookupByUUIDString(uuid)
        if not domain.isActive():
            return []
        agent = Domain.parse(domain.XMLDesc(0)).agent
    found: dict[str, dict[str, Any]] = {}
    if agent is not None and agent.target_state == "connected":
        _gather(found, "agent", lambda: _ask_agent(domain))
    _gather(found, "lease", lambda: domain.interfaceAddresses(libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_LEASE, 0))
    if not found:
        _gather(found, "arp", lambda: domain.interfaceAddresses(libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_ARP, 0))
    return list(found.values())


def state_of(state: int, reason: int) -> tuple[GuestState, str]:
    """libvirt's two numbers in words; reason "" where it is not known."""
    word = _STATES.get(state, GuestState.UNKNOWN)
    reasons = _REASONS.get(word, ())
    return word, reasons[reason] if 0 <= reason < len(reasons) else ""


def is_active(state: GuestState) -> bool:
    """Whether a QEMU process stands behind a state, as far as the state tells (a crashed guest may have kept its)."""
    return state not in {GuestState.SHUTOFF, GuestState.CRASHED, GuestState.UNKNOWN}


def facts_of(domain: Domain) -> dict[str, Any]:
    """The `facts` of GuestFacts from a guest's XML."""
    agent = domain.agent
    return {
        "virt": domain.kind,
        "arch": domain.arch,
        "machine": short_machine(domain.machine),
        "machine_full": domain.machine,
        "firmware": domain.firmware,
        "cpu": domain.cpu,
        "boot": domain.boot,
        "disks": [
            {
                "target": disk.target,
                "bus": disk.bus,
                "device": disk.device or "disk",
                "source": disk.path,
                "format": disk.format,
                "readonly": disk.readonly,
                "shared": disk.shareable,
                "kind": disk.kind,
            }
            for disk in domain.disks
        ],
        "nics": [
            {"mac": nic.mac, "kind": nic.kind, "source": nic.source, "model": nic.model, "target": nic.target}
            for nic in domain.nics
        ],
        "graphics": [
            {"kind": view.kind, "listen": view.listen, "port": view.port or -1, "socket": view.socket} for view in domain.graphics
        ],
        "serials": [
            {"target": f"{tag}{index}", "kind": view.kind}
            for tag, views in (("serial", domain.serials), ("console", domain.consoles))
            for index, view in enumerate(views)
            if not (tag == "console" and index < len(domain.serials) and view.target_type == "serial")
        ],
        "agent": agent is not None,
        "agent_connected": agent is not None and agent.target_state == "connected",
        "video": domain.video,
        "os": domain.system,
    }  # fmt: skip


def short_machine(machine: str) -> str:
    """ "pc-q35-7.2" → "q35", "pc-i440fx-7.2" → "pc"; others without their version."""
    for short, pattern in (("q35", "q35"), ("pc", "i440fx")):
        if pattern in machine:
            return short
    return re.sub(r"-(?:\d+\.\d+|rhel[\d.]+)$", "", machine)


def _facts(conn: Any, domain: Any, *, state: GuestState, reason: str, **flags: bool) -> GuestFacts:
    text = domain.XMLDesc(0)
    try:
        view = Domain.parse(text)
    except XmlRefused:  # too big or too deep: one such guest must not hide all the others of its host
        text, view = "", Domain.empty()
        _, view.memory_kib, view.current_memory_kib, view.vcpus, _ = domain.info()
    memory, vcpus = view.memory_kib, view.vcpus
    return GuestFacts(
        uuid=domain.UUIDString(),
        name=domain.name(),
        state=state,
        reason=reason,
        title=view.title,
        description=view.description,
        vcpus=view.vcpus_current or vcpus,
        vcpus_max=vcpus,
        memory_kib=view.current_memory_kib or memory,
        memory_max_kib=memory,
        tags=view.tags,
        xml=text,
        facts=facts_of(view),
        started_at=started_at(conn, domain.name()) if is_active(state) else None,
        **flags,
    )


def started_at(conn: Any, name: str) -> float | None:
    """When a guest's QEMU was started, as the age of libvirt's PID file tells; None for hosts that are not this machine.

    libvirt itself does not know. For others the monitor notes the STARTED event.
    """
    uri = urlsplit(conn.getURI())
    if (
        uri.hostname
        or uri.path != "/system"
        or not uri.scheme.startswith("qemu")
        or uri.scheme not in {"qemu", "qemu+unix"}
    ):
        return None
    socket = parse_qs(uri.query).get("socket", ["/run/libvirt/libvirt-sock"])[0]
    try:
        return (Path(socket).parent / "qemu" / f"{name}.pid").stat().st_mtime
    except (OSError, ValueError):
        return None


def _listed(conn: Any, flag: int) -> set[str]:
    return {domain.UUIDString() for domain in conn.listAllDomains(flag)}


def _autostart(domain: Any) -> bool:
    try:
        return bool(domain.autostart())
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            raise
        return False  # a transient guest has none


def _saved(domain: Any) -> bool:
    try:
        return bool(domain.hasManagedSaveImage(0))
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            raise
        return False


def _stats(uuid: str, record: Mapping[str, Any]) -> GuestStats:
    state, reason = state_of(record.get("state.state", 0), record.get("state.reason", 0))
    available, usable = record.get("balloon.available"), record.get("balloon.usable", record.get("balloon.unused"))
    if available is not None and usable is not None:
        used = available - usable
    elif (
        used := record.get("balloon.rss")
    ) is not None:  # QEMU's own memory counts in it, too: never more than the guest's
        used = min(used, record.get("balloon.current", used))
    return GuestStats(
        uuid=uuid,
        state=state,
        reason=reason,
        cpu_time_ns=record.get("cpu.time"),
        vcpus=record.get("vcpu.current"),
        memory_kib=record.get("balloon.current"),
        memory_used_kib=used,
        read_bytes=_sum(record, "block", "rd.bytes"),
        written_bytes=_sum(record, "block", "wr.bytes"),
        received_bytes=_sum(record, "net", "rx.bytes"),
        sent_bytes=_sum(record, "net", "tx.bytes"),
    )


def _sum(record: Mapping[str, Any], group: str, counter: str) -> int | None:
    """A counter over all of a guest's devices; None if none tells it, 0 if it has no such device."""
    count = record.get(f"{group}.count")
    if count is None:
        return None
    told = [record[key] for key in (f"{group}.{index}.{counter}" for index in range(count)) if key in record]
    return sum(told) if told or not count else None


def _ask_agent(domain: Any) -> dict[str, Any]:
    # The time allowed is a property of the guest, shared by all of libvirt's clients: it is put back to "as long as it
    # takes", or somebody's freeze of file systems would fail after two seconds.
    patience = getattr(domain, "agentSetResponseTimeout", None)
    if patience is not None:
        patience(_AGENT_SECONDS, 0)
    try:
        answer: dict[str, Any] = domain.interfaceAddresses(libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_AGENT, 0)
        return answer
    finally:
        if patience is not None:
            with suppress(libvirt.libvirtError):
                patience(libvirt.VIR_DOMAIN_AGENT_RESPONSE_TIMEOUT_BLOCK, 0)


def _gather(found: dict[str, dict[str, Any]], source: str, ask: Callable[[], dict[str, Any] | None]) -> None:
    try:
        answer = ask()
    except libvirt.libvirtError:
        return
    for interface in (answer or {}).values():
        mac = str(interface.get("hwaddr") or "").lower()
        for given in interface.get("addrs") or ():
            try:
                interface_ip = ipaddress.ip_interface(f"{given['addr']}/{given['prefix']}")
            except ValueError:
                continue
            ip, prefix = interface_ip.ip, interface_ip.network.prefixlen
            if (
                ip.is_loopback
                or ip.is_link_local
                or ip.is_unspecified
                or ip.is_multicast
                or len(found) >= _MAX_ADDRESSES
            ):
                continue
            row = {"ip": str(ip), "prefix": prefix, "mac": mac if _MAC.fullmatch(mac) else "", "source": source}
            found.setdefault(str(ip), row)
