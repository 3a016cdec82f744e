"""The shapes in which `virt` tells what a host holds: plain frozen dataclasses, no libvirt objects."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class GuestState(StrEnum):
    """A guest's state, in the field's words."""

    RUNNING = "running"
    PAUSED = "paused"
    STOPPING = "stopping"
    SHUTOFF = "shutoff"
    CRASHED = "crashed"
    SUSPENDED = "suspended"  # guest's own suspend to RAM (pmsuspended)
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class HostFacts:
    """What a host is. Memory in KiB, versions as "9.0.0"."""

    hostname: str
    libvirt_version: str
    hypervisor_version: str
    cpu_model: str
    cpus: int
    memory_kib: int
    memory_free_kib: int
    kvm: bool
    facts: dict[str, Any] = field(default_factory=dict)
    """arch; sockets, cores, threads, nodes, mhz; machines (list); firmwares (["bios", "efi"]); os ("Debian GNU/Linux 12" or "")."""


@dataclass(frozen=True)
class GuestFacts:
    """One domain. `facts` is JSON-able: see the keys below.

    facts = {
      "virt": "kvm"|"qemu", "arch": "x86_64", "machine": "q35", "machine_full": "pc-q35-7.2",
      "firmware": "bios"|"efi"|"efi-secure", "cpu": "host-passthrough"|"host-model"|model name|"default",
      "boot": ["hd", "cdrom", "network"],
      "disks": [{"target": "vda", "bus": "virtio", "device": "disk"|"cdrom"|"floppy"|"lun", "source": path or "",
                 "format": "qcow2", "readonly": false, "shared": false, "kind": "file"|"block"|"volume"|"network"}],
      "nics": [{"mac": "52:54:…", "kind": "network"|"bridge"|"direct"|"user"|…, "source": "default", "model": "virtio",
                "target": "vnet0"|"" }],
      "graphics": [{"kind": "vnc"|"spice"|…, "listen": "127.0.0.1", "port": 5900 or -1, "socket": "" }],
      "serials": [{"target": "serial0"|"console0", "kind": "pty"|…}],
      "agent": true if there is a org.qemu.guest_agent.0 channel, "agent_connected": bool,
      "video": "virtio"|"vga"|…|"" }
    """

    uuid: str
    name: str
    state: GuestState
    reason: str
    persistent: bool
    autostart: bool
    saved: bool
    title: str
    description: str
    vcpus: int
    vcpus_max: int
    memory_kib: int
    memory_max_kib: int
    tags: tuple[str, ...]
    xml: str
    """Domain XML without secrets (never VIR_DOMAIN_XML_SECURE)."""
    facts: dict[str, Any] = field(default_factory=dict)
    started_at: float | None = None
    """Unix time at which it started, where it can be known (the monitor fills it from the STARTED event otherwise)."""


@dataclass(frozen=True)
class GuestStats:
    """Raw counters of one guest, from one bulk call. Times in ns, bytes, memory in KiB; None: not told."""

    uuid: str
    state: GuestState
    reason: str
    cpu_time_ns: int | None
    vcpus: int | None
    memory_kib: int | None
    """Current balloon."""
    memory_used_kib: int | None
    """As the guest's balloon driver tells (available - usable); falls back to RSS; None where neither is known."""
    read_bytes: int | None
    written_bytes: int | None
    received_bytes: int | None
    sent_bytes: int | None


@dataclass(frozen=True)
class VolumeFacts:
    """One storage volume. Sizes in bytes."""

    name: str
    kind: str
    format: str
    capacity: int
    allocation: int
    path: str
    backing: str


@dataclass(frozen=True)
class PoolFacts:
    """One storage pool with its volumes (empty when inactive). Sizes in bytes."""

    uuid: str
    name: str
    kind: str
    state: str
    persistent: bool
    autostart: bool
    capacity: int
    allocation: int
    available: int
    path: str
    volumes: tuple[VolumeFacts, ...] = ()


@dataclass(frozen=True)
class NetworkFacts:
    """One libvirt network."""

    uuid: str
    name: str
    active: bool
    persistent: bool
    autostart: bool
    forward: str
    bridge: str
    subnets: tuple[str, ...] = ()


@dataclass(frozen=True)
class Event:
    """Something that happened on a host, as the event thread hands it on.

    kind: "guest" (lifecycle, define, undefine, device, agent, metadata, balloon, IO error, tray, …: look again at
    this guest), "guest-gone", "pool", "pool-gone", "volumes" (a pool's volumes changed), "network", "network-gone",
    "block-job", "migration", "job-done", "closed" (the connection died; uuid empty).
    detail: small JSON-able facts ({"lifecycle": "started", "reason": "booted"}, {"io_error": "enospc", "disk": "vda"}, …).
    """

    kind: str
    uuid: str = ""
    name: str = ""
    detail: dict[str, Any] = field(default_factory=dict)
    at: float = 0.0
    """time.time() at arrival in this process."""
