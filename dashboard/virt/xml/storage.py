"""Pools' and volumes' XML: what is read from it, and the documents for those that kvmweb makes."""

from __future__ import annotations

from lxml import etree

from dashboard.virt.xml.parse import parse, to_text
from dashboard.virt.xml.view import Number, Size, Text, View, add


class Pool(View):
    """A `<pool>`."""

    kind = Text("@type")
    name = Text("name")
    uuid = Text("uuid")
    path = Text("target/path")
    source_name = Text("source/name")

    @classmethod
    def parse(cls, text: str) -> Pool:
        """The view on a parsed document. Raises XmlRefused."""
        return cls(parse(text))


class Volume(View):
    """A `<volume>`."""

    kind = Text("@type")
    name = Text("name")
    key = Text("key")
    capacity = Size("capacity", unit="bytes")
    allocation = Size("allocation", unit="bytes")
    physical = Size("physical", unit="bytes")
    path = Text("target/path")
    format = Text("target/format@type")
    compat = Text("target/compat")
    backing = Text("backingStore/path")
    backing_format = Text("backingStore/format@type")
    cluster_size = Number("target/clusterSize")

    @classmethod
    def parse(cls, text: str) -> Volume:
        """The view on a parsed document. Raises XmlRefused."""
        return cls(parse(text))


def new_volume(*, name: str, capacity: int, format: str, backing: tuple[str, str] | None) -> str:
    """A volume of `capacity` bytes that takes space only as it is written. backing: (path, format).

    Mode, owner and label are left to libvirt, which knows as whom its QEMU runs. A backing file's format is always said:
    QEMU would otherwise guess it from bytes that a guest may have written. format "": the pool has none (LVM, disk, …).
    """
    root = etree.Element("volume")
    view = Volume(root)
    view.name, view.allocation = name, 0
    if capacity:
        view.capacity = capacity
    if format:
        view.format = format
    if format == "qcow2":
        view.compat = "1.1"
    if backing is not None:
        view.backing, view.backing_format = backing
    return to_text(root)


def new_dir_pool(*, name: str, path: str) -> str:
    """A pool that is a directory of the host."""
    root = etree.Element("pool", None, None, type="dir")
    add(root, "name", name)
    add(add(root, "target"), "path", path)
    return to_text(root)
