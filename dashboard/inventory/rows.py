"""The JSON shapes of hosts, guests, pools and networks: the same in live messages, pages and the API."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from dashboard.inventory.models import Guest, Host, Network, Pool, Volume

Row = dict[str, Any]


def epoch_ms(moment: datetime | None) -> int | None:
    """A time as milliseconds since 1970, for JavaScript."""
    return None if moment is None else round(moment.timestamp() * 1000)


def shown_state(guest: Guest) -> str:
    """The guest's state as a person may believe it: "unknown" while its host is not live."""
    return guest.state if guest.host.status == Host.Status.LIVE else "unknown"


def io_error(guest: Guest) -> bool:
    """Whether the guest is in trouble with a disk: paused by it, or told by an event since it started."""
    return bool(guest.facts.get("io_error")) or guest.reason == "I/O error"


def guest_row(guest: Guest, metrics: list[Any] | None = None) -> Row:
    """One guest; read `guest.host` with select_related. `metrics` is a sample of `inventory.metrics`, if known."""
    facts, host, state = guest.facts, guest.host, shown_state(guest)
    graphics = facts.get("graphics") or []
    row: Row = {
        "id": guest.pk,
        "uuid": str(guest.uuid),
        "host": host.pk,
        "host_name": host.name,
        "host_status": host.status,
        "last_seen": epoch_ms(host.last_seen),
        "name": guest.name,
        "title": guest.title,
        "state": state,
        "reason": guest.reason if state != "unknown" else "",
        "since": epoch_ms(guest.started_at) if state != "unknown" else None,
        "vcpus": guest.vcpus,
        "memory_kib": guest.memory_kib,
        "autostart": guest.autostart,
        "saved": guest.saved,
        "persistent": guest.persistent,
        "tags": list(guest.tags),
        "addresses": [address["ip"] for address in guest.addresses],
        "virt": facts.get("virt", ""),
        "agent": bool(facts.get("agent_connected")),
        "display": next((item["kind"] for item in graphics if item.get("kind") in ("vnc", "spice")), ""),
        "serial": bool(facts.get("serials")),
        "io_error": io_error(guest),
        "os": facts.get("os", ""),
    }
    if metrics is not None:
        row["metrics"] = metrics
    return row


def host_row(host: Host) -> Row:
    """One host. Memory in KiB. `status_text` is a msgid: whoever shows it translates it; `facts` stay in the database."""
    return {
        "id": host.pk,
        "name": host.name,
        "transport": host.transport,
        "address": host.address,
        "enabled": host.enabled,
        "status": host.status,
        "status_text": host.status_text,
        "status_detail": host.status_detail,
        "last_seen": epoch_ms(host.last_seen),
        "connected_at": epoch_ms(host.connected_at),
        "generation": host.generation,
        "hostname": host.hostname,
        "libvirt_version": host.libvirt_version,
        "hypervisor_version": host.hypervisor_version,
        "cpu_model": host.cpu_model,
        "cpus": host.cpus,
        "memory_kib": host.memory_kib,
        "memory_free_kib": host.memory_free_kib,
        "kvm": host.kvm,
    }


def pool_row(pool: Pool) -> Row:
    """One storage pool; read `pool.host` with select_related. Sizes in bytes."""
    return {
        "id": pool.pk,
        "uuid": str(pool.uuid),
        "host": pool.host.pk,
        "host_name": pool.host.name,
        "host_status": pool.host.status,
        "name": pool.name,
        "kind": pool.kind,
        "state": pool.state if pool.host.status == Host.Status.LIVE else "unknown",
        "persistent": pool.persistent,
        "autostart": pool.autostart,
        "capacity": pool.capacity,
        "allocation": pool.allocation,
        "available": pool.available,
        "path": pool.path,
    }


def volume_row(volume: Volume) -> Row:
    """One volume of a pool. Sizes in bytes."""
    return {
        "id": volume.pk,
        "name": volume.name,
        "kind": volume.kind,
        "format": volume.format,
        "made_format": volume.made_format,
        "capacity": volume.capacity,
        "allocation": volume.allocation,
        "path": volume.path,
        "backing": volume.backing,
    }


def network_row(network: Network) -> Row:
    """One network; read `network.host` with select_related. `active` is None while the host is not live."""
    return {
        "id": network.pk,
        "uuid": str(network.uuid),
        "host": network.host.pk,
        "host_name": network.host.name,
        "host_status": network.host.status,
        "name": network.name,
        "active": network.active if network.host.status == Host.Status.LIVE else None,
        "persistent": network.persistent,
        "autostart": network.autostart,
        "forward": network.forward,
        "bridge": network.bridge,
        "subnets": list(network.subnets),
    }
