"""Networks' XML: what is read from it, and the document for the default one that kvmweb makes."""

from __future__ import annotations

import ipaddress

from lxml import etree

from dashboard.virt.xml.parse import parse, to_text
from dashboard.virt.xml.view import Text, View, add

Subnet = ipaddress.IPv4Network | ipaddress.IPv6Network


class Network(View):
    """A `<network>`."""

    name = Text("name")
    uuid = Text("uuid")
    bridge = Text("bridge@name")

    @classmethod
    def parse(cls, text: str) -> Network:
        """The view on a parsed document. Raises XmlRefused."""
        return cls(parse(text))

    @classmethod
    def empty(cls) -> Network:
        """The view on a network of which nothing is said."""
        return cls(etree.Element("network"))

    @property
    def forward(self) -> str:
        """ "nat", "route", "open", "bridge", …; "" for an isolated network."""
        found = self.element.find("forward")
        return "" if found is None else str(found.get("mode") or "nat")

    @property
    def subnets(self) -> list[Subnet]:
        """The networks behind its own addresses."""
        found: list[Subnet] = []
        for ip in self.element.iterfind("ip"):
            address, width = ip.get("address"), ip.get("prefix") or ip.get("netmask")
            try:
                found.append(ipaddress.ip_interface(f"{address}/{width}" if width else str(address)).network)
            except ValueError:
                continue
        return found


def new_nat_network(*, name: str, subnet: ipaddress.IPv4Network) -> str:
    """A NAT network: the subnet's first address is the host's, the others are handed out by DHCP. libvirt picks the bridge."""
    root = etree.Element("network")
    add(root, "name", name)
    add(root, "forward", mode="nat")
    add(root, "bridge", stp="on", delay="0")
    first, last = subnet.network_address + 1, subnet.broadcast_address - 1
    ip = add(root, "ip", address=str(first), netmask=str(subnet.netmask))
    add(add(ip, "dhcp"), "range", start=str(first + 1), end=str(last))
    return to_text(root)
