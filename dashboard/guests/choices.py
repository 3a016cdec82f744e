"""What a host offers a new guest, from the mirror: pools, ISOs, images, networks, limits and the defaults made of them."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet

from dashboard.accounts.access import on_hosts_where
from dashboard.accounts.models import User
from dashboard.guests.disks import FIXED_POOLS, attachable
from dashboard.guests.operations.wish import RAW_ONLY_POOLS, known_format
from dashboard.inventory.models import Host, Network, Pool, Volume
from dashboard.live.formats import bytes_text

MAX_VOLUMES = 1000
"""More in one list than anybody reads; the API takes any."""

Choices = dict[str, Any]


def hosts(user: User) -> QuerySet[Host]:
    """Hosts on which this person can make a guest now."""
    return Host.objects.filter(on_hosts_where(user, "guest.create", "pk"), status=Host.Status.LIVE).order_by("name")


def choices_of(host: Host, user: User) -> Choices:
    """Everything that the form offers for one host; four queries, one more for who sees only some of its guests."""
    volumes = (
        Volume.objects.filter(pool__host=host, pool__state="running")
        .select_related("pool")
        .order_by("pool__name", "name")
    )
    isos = volumes.filter(format="iso") | volumes.filter(name__iendswith=".iso")
    images = (
        volumes.filter(attachable(host, user)).exclude(format="iso").exclude(name__iendswith=".iso").exclude(kind="dir")
    )
    pools = [_pool(pool) for pool in Pool.objects.filter(host=host) if pool.kind not in FIXED_POOLS]
    networks = [_network(network) for network in Network.objects.filter(host=host)]
    return {
        "host": host.pk,
        "pools": pools,
        "isos": [_volume(volume) for volume in isos.distinct()[:MAX_VOLUMES]],
        "images": [_volume(volume) for volume in images[:MAX_VOLUMES]],
        "networks": networks,
        "kvm": bool(host.kvm),
        "firmwares": host.facts.get("firmwares") or ["bios"],
        "cpus": host.cpus,
        "memory_mib": host.memory_kib // 1024,
        "memory_free_mib": host.memory_free_kib // 1024,
        "defaults": _defaults(host, pools, networks),
    }


def _pool(pool: Pool) -> Choices:
    return {
        "name": pool.name,
        "kind": pool.kind,
        "usable": pool.state == "running",
        "raw_only": pool.kind in RAW_ONLY_POOLS,
        "available": pool.available,
        "free": bytes_text(pool.available),
    }


def _volume(volume: Volume) -> Choices:
    return {
        "pool": volume.pool.name,
        "name": volume.name,
        "size": bytes_text(volume.capacity),
        "format": known_format(volume),
        "looks": volume.format,
    }


def _network(network: Network) -> Choices:
    return {"name": network.name, "active": network.active, "forward": network.forward, "subnets": network.subnets}


def _defaults(host: Host, pools: list[Choices], networks: list[Choices]) -> Choices:
    """The pool named "default" or the one with most room, the network named "default" or the first that is active."""
    usable = [pool for pool in pools if pool["usable"]]
    pool = next((pool for pool in usable if pool["name"] == "default"), None)
    roomiest = max(usable, key=lambda one: one["available"], default=None)
    active = [network for network in networks if network["active"]]
    network = next((network for network in active if network["name"] == "default"), active[0] if active else None)
    best = pool or roomiest
    return {
        "disk_pool": best["name"] if best else "",
        "disk_format": "raw" if best and best["raw_only"] else "qcow2",
        "network": network["name"] if network else "",
        "vcpus": max(1, min(2, host.cpus or 2)),
        "memory_mib": 2048 if host.memory_kib >= 4 * 1024 * 1024 else 512,
        "disk_gib": 20,
        "firmware": "bios",
    }
