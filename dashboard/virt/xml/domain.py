"""A guest's XML as typed properties, edited in place: what is not named here survives untouched."""

from __future__ import annotations

from collections.abc import Iterable

from lxml import etree

from dashboard.virt.xml.parse import XmlRefused, parse, to_text
from dashboard.virt.xml.view import Number, Size, Text, There, View, add, children, reach, remove

LIBOSINFO = "http://libosinfo.org/xmlns/libvirt/domain/1.0"
KVMWEB = "urn:kvmweb:guest:1"
"""Namespace of what kvmweb writes into a guest's metadata: tags, and the job that made the guest."""
AGENT_CHANNEL = "org.qemu.guest_agent.0"


class Source(View):
    """Where a disk's bytes are; which attribute names it depends on the disk's type."""

    file = Text("@file")
    dev = Text("@dev")
    dir = Text("@dir")
    pool = Text("@pool")
    volume = Text("@volume")
    protocol = Text("@protocol")
    name = Text("@name")


class Disk(View):
    """One `<disk>`."""

    kind = Text("@type")
    device = Text("@device")
    target = Text("target@dev")
    bus = Text("target@bus")
    format = Text("driver@type")
    boot_order = Number("boot@order")
    serial = Text("serial")
    readonly = There("readonly")
    shareable = There("shareable")

    @property
    def source(self) -> Source:
        """Its `<source>`; an empty one, not part of the document, for an empty drive."""
        found = self.element.find("source")
        return Source(etree.Element("source") if found is None else found)

    @property
    def path(self) -> str:
        """What names its bytes: a path, or pool/volume, or protocol:name; "" for an empty drive."""
        source = self.source
        if self.kind == "volume":
            return f"{source.pool}/{source.volume}" if source.volume else ""
        if self.kind == "network":
            return f"{source.protocol}:{source.name}" if source.name else ""
        return source.file or source.dev or source.dir


class Nic(View):
    """One `<interface>`."""

    kind = Text("@type")
    mac = Text("mac@address")
    model = Text("model@type")
    target = Text("target@dev")
    boot_order = Number("boot@order")
    link = Text("link@state")

    @property
    def source(self) -> str:
        """What it is plugged into: the network's, bridge's or device's name."""
        found = self.element.find("source")
        if found is None:
            return ""
        return next(
            (str(found.get(name)) for name in ("network", "bridge", "dev", "path", "name") if found.get(name)), ""
        )


class Graphics(View):
    """One `<graphics>`."""

    kind = Text("@type")
    port = Number("@port")
    tls_port = Number("@tlsPort")
    autoport = Text("@autoport")
    websocket = Text("@websocket")

    @property
    def listen(self) -> str:
        """The address on which it listens; "" where it has none."""
        found = self.element.find("listen")
        return self.element.get("listen") or (str(found.get("address") or "") if found is not None else "")

    @property
    def socket(self) -> str:
        """The UNIX socket on which it listens, or ""."""
        found = self.element.find("listen[@type='socket']")
        return self.element.get("socket") or (str(found.get("socket") or "") if found is not None else "")


class Character(View):
    """A `<serial>`, `<console>` or `<channel>`."""

    kind = Text("@type")
    alias = Text("alias@name")
    target_type = Text("target@type")
    target_name = Text("target@name")
    target_state = Text("target@state")
    target_port = Number("target@port")


class Controller(View):
    """One `<controller>`."""

    kind = Text("@type")
    model = Text("@model")
    index = Number("@index")


class Domain(View):
    """The whole `<domain>`."""

    kind = Text("@type")
    name = Text("name")
    uuid = Text("uuid")
    title = Text("title")
    description = Text("description")
    memory_kib = Size("memory")
    current_memory_kib = Size("currentMemory")
    vcpus = Number("vcpu")
    vcpus_current = Number("vcpu@current")
    arch = Text("os/type@arch")
    machine = Text("os/type@machine")
    firmware_auto = Text("os@firmware")
    loader = Text("os/loader")
    loader_type = Text("os/loader@type")
    loader_secure = Text("os/loader@secure")
    nvram = Text("os/nvram")
    kernel = Text("os/kernel")
    cpu_mode = Text("cpu@mode")
    cpu_model = Text("cpu/model")
    emulator = Text("devices/emulator")
    video = Text("devices/video/model@type")
    tb_cache_mib = Size("features/tcg/tb-cache", unit="MiB")
    on_poweroff = Text("on_poweroff")
    on_reboot = Text("on_reboot")
    on_crash = Text("on_crash")

    @classmethod
    def parse(cls, text: str) -> Domain:
        """The view on a parsed document. Raises XmlRefused."""
        root = parse(text)
        if root.tag != "domain":
            raise XmlRefused("This XML does not describe a virtual machine: its first element is not <domain>.")
        return cls(root)

    @classmethod
    def empty(cls) -> Domain:
        """The view on a guest of which nothing is said."""
        return cls(etree.Element("domain"))

    def to_text(self) -> str:
        """The document, with everything that was in it."""
        return to_text(self.element)

    @property
    def disks(self) -> list[Disk]:
        return children(self.element, "devices/disk", Disk)

    @property
    def nics(self) -> list[Nic]:
        return children(self.element, "devices/interface", Nic)

    @property
    def graphics(self) -> list[Graphics]:
        return children(self.element, "devices/graphics", Graphics)

    @property
    def serials(self) -> list[Character]:
        return children(self.element, "devices/serial", Character)

    @property
    def consoles(self) -> list[Character]:
        return children(self.element, "devices/console", Character)

    @property
    def channels(self) -> list[Character]:
        return children(self.element, "devices/channel", Character)

    @property
    def controllers(self) -> list[Controller]:
        return children(self.element, "devices/controller", Controller)

    @property
    def agent(self) -> Character | None:
        """The guest agent's channel, if it has one."""
        return next((channel for channel in self.channels if channel.target_name == AGENT_CHANNEL), None)

    @property
    def emulated_tpm(self) -> bool:
        """Whether it has a TPM whose state lies in a file of the host."""
        return self.element.find("devices/tpm/backend[@type='emulator']") is not None

    @property
    def firmware(self) -> str:
        """ "bios", "efi" or "efi-secure", whether libvirt chose the loader or somebody named it."""
        if self.firmware_auto != "efi" and self.loader_type != "pflash":
            return "bios"
        feature = self.element.find("os/firmware/feature[@name='secure-boot']")
        secure = self.loader_secure if feature is None else feature.get("enabled")
        return "efi-secure" if secure == "yes" else "efi"

    @property
    def cpu(self) -> str:
        """ "host-passthrough", "host-model", "maximum", the model's name, or "default"."""
        return self.cpu_model if self.cpu_mode in {"", "custom"} and self.cpu_model else self.cpu_mode or "default"

    @property
    def boot(self) -> list[str]:
        """From what it starts, in order, as "hd", "cdrom", "network", "fd"; from either of libvirt's two ways to say it."""
        named = [str(found.get("dev")) for found in self.element.iterfind("os/boot") if found.get("dev")]
        if named:
            return named
        ordered = [(disk.boot_order, {"cdrom": "cdrom", "floppy": "fd"}.get(disk.device, "hd")) for disk in self.disks]
        ordered += [(nic.boot_order, "network") for nic in self.nics]
        return list(dict.fromkeys(kind for order, kind in sorted(ordered) if order > 0))

    @boot.setter
    def boot(self, devices: Iterable[str]) -> None:
        """Say it by `<os><boot dev>`; orders on the devices, which libvirt refuses beside that, go."""
        for path in ("os/boot", "devices/*/boot"):
            for found in self.element.findall(path):
                remove(found)
        place = reach(self.element, ("os",))
        for device in devices:
            add(place, "boot", dev=device)

    @property
    def tags(self) -> tuple[str, ...]:
        """kvmweb's tags in the metadata."""
        return ours(self._ours, "tag")

    @property
    def system(self) -> str:
        """What other programs noted as its operating system: "debian 12" for http://debian.org/debian/12; "" for nothing."""
        noted = self.element.find(f"metadata/{{{LIBOSINFO}}}libosinfo/{{{LIBOSINFO}}}os")
        address = "" if noted is None else noted.get("id") or ""
        return " ".join(address.partition("://")[2].split("/")[1:])[:100]

    @property
    def job(self) -> str:
        """The id of kvmweb's job that made this guest; "" for others."""
        return next(iter(ours(self._ours, "job")), "")

    @property
    def _ours(self) -> etree._Element | None:
        return self.element.find(f"metadata/{{{KVMWEB}}}guest")

    def set_metadata(self, *, tags: Iterable[str] | None = None, job: str | None = None) -> None:
        """Write kvmweb's metadata; None leaves it as it is. Other programs' metadata stays."""
        place = reach(self.element, ("metadata",))
        guest = place.find(f"{{{KVMWEB}}}guest")
        if guest is None:
            guest = etree.SubElement(place, f"{{{KVMWEB}}}guest", None, {"kvmweb": KVMWEB})
        fill(guest, tags=tags, job=job)


def ours(guest: etree._Element | None, name: str) -> tuple[str, ...]:
    """Texts of the elements of that name in kvmweb's metadata element, with namespace or, from `metadata()`, without."""
    return () if guest is None else tuple(found.text for found in guest.iterfind(f"{{*}}{name}") if found.text)


def fill(guest: etree._Element, *, tags: Iterable[str] | None = None, job: str | None = None) -> None:
    """Replace tags and job inside kvmweb's metadata element; None leaves them, what else is there stays."""
    namespace = etree.QName(guest).namespace
    for name, values in (("tag", tags), ("job", None if job is None else [job] if job else [])):
        if values is None:
            continue
        for found in guest.findall(f"{{*}}{name}"):
            remove(found)
        for value in values:
            etree.SubElement(guest, f"{{{namespace}}}{name}" if namespace else name).text = value
