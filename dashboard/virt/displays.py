"""The live display of a guest, resolved by UUID, and the door to it that needs no port."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

import libvirt

from dashboard.virt.errors import VirtError, virt_errors
from dashboard.virt.xml.parse import parse

if TYPE_CHECKING:
    from lxml import etree


@dataclass(frozen=True)
class Display:
    """One graphics device of a running guest. `port` is -1 and `socket` "" where it has none."""

    kind: str
    """"vnc", "spice", …"""
    index: int
    """Its place among the guest's graphics devices, as openGraphicsFD counts."""
    listen: str
    port: int
    socket: str
    run: int
    """libvirt's id of this run of the guest: another one means that it was stopped since."""


@virt_errors()
def live_displays(conn: libvirt.virConnect, uuid: str) -> list[Display]:
    """The displays of a running guest (virDomainGetXMLDesc of the live definition).

    VirtError "not_found": no such guest; "state": it does not run.
    """
    domain = conn.lookupByUUIDString(uuid)
    run = domain.ID()
    if run < 0:
        raise VirtError("state", "the domain is not running")
    root = parse(domain.XMLDesc(0))
    return [_display(index, element, run) for index, element in enumerate(root.findall("devices/graphics"))]


def _display(index: int, element: etree._Element, run: int) -> Display:
    listener = element.find("listen")
    path = element.get("socket") or (listener.get("socket") if listener is not None else None) or ""
    address = element.get("listen") or (listener.get("address") if listener is not None else None) or ""
    return Display(
        kind=element.get("type") or "",
        index=index,
        listen=address,
        port=int(element.get("port") or -1),
        socket=path,
        run=run,
    )


@virt_errors()
def open_display(conn: libvirt.virConnect, uuid: str, index: int) -> socket.socket:
    """A socket into the guest's display server, handed over by libvirt: no port, no password.

    virDomainOpenGraphicsFD with SKIPAUTH. For local UNIX connections only: on any other transport libvirt closes the
    whole connection when asked.
    """
    descriptor = conn.lookupByUUIDString(uuid).openGraphicsFD(index, libvirt.VIR_DOMAIN_OPEN_GRAPHICS_SKIPAUTH)
    return socket.socket(fileno=descriptor)


@virt_errors()
def same_run(conn: libvirt.virConnect, uuid: str, run: int) -> bool:
    """Whether the guest has run without a stop since `run` was read: its ports are then still its own."""
    return bool(conn.lookupByUUIDString(uuid).ID() == run)
