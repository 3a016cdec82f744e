"""Reading and starting libvirt's networks, and making the default one where a host lacks it."""

from __future__ import annotations

import ipaddress
from typing import Any

import libvirt

from dashboard.virt.errors import VirtError, virt_errors
from dashboard.virt.facts import NetworkFacts
from dashboard.virt.xml.network import Network, new_nat_network
from dashboard.virt.xml.parse import XmlRefused
from dashboard.virt.xml.text import valid_name


@virt_errors()
def read_networks(conn: Any) -> list[NetworkFacts]:
    """All networks: four lists and one XML call each. One that vanishes meanwhile is left out."""
    active = _listed(conn, libvirt.VIR_CONNECT_LIST_NETWORKS_ACTIVE)
    persistent = _listed(conn, libvirt.VIR_CONNECT_LIST_NETWORKS_PERSISTENT)
    autostart = _listed(conn, libvirt.VIR_CONNECT_LIST_NETWORKS_AUTOSTART)
    found = []
    for network in conn.listAllNetworks(0):
        uuid = network.UUIDString()
        try:
            xml = network.XMLDesc(0)
        except libvirt.libvirtError as error:
            if error.get_error_code() == libvirt.VIR_ERR_NO_NETWORK:
                continue
            raise
        found.append(
            _facts(network, xml, active=uuid in active, persistent=uuid in persistent, autostart=uuid in autostart)
        )
    return found


@virt_errors()
def read_network(conn: Any, uuid: str) -> NetworkFacts:
    """One network. Raises VirtError ("not_found", …)."""
    network = conn.networkLookupByUUIDString(uuid)
    persistent = bool(network.isPersistent())
    return _facts(
        network,
        network.XMLDesc(0),
        active=bool(network.isActive()),
        persistent=persistent,
        autostart=persistent and bool(network.autostart()),
    )


@virt_errors()
def leases(conn: Any, uuid: str) -> list[dict[str, Any]]:
    """[{"ip", "prefix", "mac", "hostname", "expires" (Unix time or None)}] which the network's DHCP server has given."""
    network = conn.networkLookupByUUIDString(uuid)
    if not network.isActive():
        return []
    return [
        {
            "ip": lease["ipaddr"],
            "prefix": lease["prefix"],
            "mac": lease.get("mac") or "",
            "hostname": lease.get("hostname") or "",
            "expires": lease["expirytime"] or None,
        }
        for lease in network.DHCPLeases()
    ]


@virt_errors()
def start_network(conn: Any, uuid: str) -> None:
    """Start a network; done already if it is active. libvirt: create."""
    network = conn.networkLookupByUUIDString(uuid)
    if not network.isActive():
        network.create()


@virt_errors()
def create_default_network(conn: Any, *, name: str = "default") -> str:
    """A NAT network with DHCP that is active and starts with the host; gives its UUID.

    An existing network of this name is only started and set to start by itself. The subnet is the first of 192.168.122.0/24
    to 192.168.254.0/24 that no network of this libvirt has and that the host does not route (libvirt says so at start).
    """
    valid_name(name)
    network = next((found for found in conn.listAllNetworks(0) if found.name() == name), None)
    if network is None:
        network = _define_free(conn, name)
    if not network.isActive():
        network.create()
    if not network.autostart():
        network.setAutostart(1)
    uuid: str = network.UUIDString()
    return uuid


def _define_free(conn: Any, name: str) -> Any:
    taken = [subnet for network in conn.listAllNetworks(0) for subnet in Network.parse(network.XMLDesc(0)).subnets]
    refused = ""
    for third in range(122, 255):
        subnet = ipaddress.IPv4Network((f"192.168.{third}.0", 24))
        if any(subnet.overlaps(other) for other in taken if isinstance(other, ipaddress.IPv4Network)):
            continue
        network = conn.networkDefineXML(new_nat_network(name=name, subnet=subnet))
        try:
            network.create()
        except libvirt.libvirtError as error:
            network.undefine()
            refused = error.get_error_message() or ""
            if "already in use" not in refused:
                raise
            continue
        return network
    raise VirtError("in_use", refused or "no free subnet between 192.168.122.0/24 and 192.168.254.0/24")


def _facts(network: Any, xml: str, *, active: bool, persistent: bool, autostart: bool) -> NetworkFacts:
    try:
        view = Network.parse(xml)
    except XmlRefused:  # thousands of fixed addresses, say: it must not hide the host's other networks
        view = Network.empty()
    return NetworkFacts(
        uuid=network.UUIDString(),
        name=network.name(),
        active=active,
        persistent=persistent,
        autostart=autostart,
        forward=view.forward,
        bridge=view.bridge,
        subnets=tuple(str(subnet) for subnet in view.subnets),
    )


def _listed(conn: Any, flag: int) -> set[str]:
    return {network.UUIDString() for network in conn.listAllNetworks(flag)}
