"""Changing what a guest is: defining and undefining, its name and notes; and its keyboard and its picture."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import libvirt
from lxml import etree

from dashboard.virt.errors import VirtError, virt_errors
from dashboard.virt.picture import to_png
from dashboard.virt.xml.domain import KVMWEB, Domain, fill, ours
from dashboard.virt.xml.parse import parse, to_text
from dashboard.virt.xml.text import valid_description, valid_name, valid_tags, valid_title

_MAX_KEYS = 16
"""libvirt's own limit (VIR_DOMAIN_SEND_KEY_MAX_KEYS)."""
_MAX_PICTURE = 64 * 1024 * 1024


def define(conn: Any, xml: str) -> str:
    """Define a new guest and give its UUID. libvirt: defineXMLFlags with VALIDATE (the host checks against its schema).

    Done already if a guest of this UUID exists with the same kvmweb job in its metadata; another guest of this UUID or
    name is VirtError "exists", never overwritten.
    """
    new = Domain.parse(xml)
    with virt_errors():
        there = _lookup(conn, new.uuid) if new.uuid else None
        if there is not None:
            if new.job and job_of(conn, new.uuid) == new.job:
                return new.uuid
            raise VirtError("exists", f"a guest with UUID {new.uuid} exists")
        if _named(conn, new.name) is not None:
            raise VirtError("exists", f"a guest named {new.name} exists")
        uuid: str = conn.defineXMLFlags(xml, libvirt.VIR_DOMAIN_DEFINE_VALIDATE).UUIDString()
        return uuid


@virt_errors()
def undefine(conn: Any, uuid: str, *, nvram: bool = True, tpm: bool = True) -> None:
    """Forget a guest that is off; its disks stay. Done already if there is none. libvirt: undefineFlags.

    A flag is given only where the guest has what it is about, since older hosts refuse those that they do not know:

    | the guest has            | flag                                                     |
    |--------------------------|----------------------------------------------------------|
    | a managed saved state    | MANAGED_SAVE (libvirt refuses without)                   |
    | snapshots                | SNAPSHOTS_METADATA (internal ones stay inside the disks) |
    | checkpoints              | CHECKPOINTS_METADATA                                     |
    | a file of EFI variables  | NVRAM, or KEEP_NVRAM (libvirt wants one of them)         |
    | an emulated TPM          | TPM, or KEEP_TPM                                         |
    """
    domain = _lookup(conn, uuid)
    if domain is None:
        return
    if domain.isActive():
        raise VirtError("state", "the guest is running")
    view = Domain.parse(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
    flags = 0
    if domain.hasManagedSaveImage(0):
        flags |= libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
    if domain.snapshotNum(0):
        flags |= libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
    if _has_checkpoints(domain):
        flags |= libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
    if view.nvram or view.firmware != "bios":
        flags |= libvirt.VIR_DOMAIN_UNDEFINE_NVRAM if nvram else libvirt.VIR_DOMAIN_UNDEFINE_KEEP_NVRAM
    if view.emulated_tpm:
        flags |= getattr(libvirt, "VIR_DOMAIN_UNDEFINE_TPM" if tpm else "VIR_DOMAIN_UNDEFINE_KEEP_TPM", 0)
    domain.undefineFlags(flags)


def rename(conn: Any, uuid: str, name: str) -> None:
    """Give a guest that is off another name. libvirt: rename. Raises VirtError "state" while it runs, has a saved state
    or snapshots (libvirt refuses), "exists" if the name is taken, "invalid" for a name that we do not give."""
    try:
        valid_name(name)
    except ValueError as error:
        raise VirtError("invalid", str(error)) from error
    with virt_errors():
        domain = conn.lookupByUUIDString(uuid)
        if domain.name() == name:
            return
        if domain.isActive():
            raise VirtError("state", "a running guest cannot be renamed")
        if domain.hasManagedSaveImage(0):
            raise VirtError("state", "a guest with a saved state cannot be renamed")
        if domain.snapshotNum(0):
            raise VirtError("state", "a guest with snapshots cannot be renamed")
        if _named(conn, name) is not None:
            raise VirtError("exists", f"a guest named {name} exists")
        domain.rename(name, 0)


def set_title(conn: Any, uuid: str, title: str) -> None:
    """Set or, with "", remove the title. libvirt: setMetadata TITLE, live and in the definition."""
    _set_text(conn, uuid, libvirt.VIR_DOMAIN_METADATA_TITLE, title, valid_title)


def set_description(conn: Any, uuid: str, text: str) -> None:
    """Set or, with "", remove the description. libvirt: setMetadata DESCRIPTION, live and in the definition."""
    _set_text(conn, uuid, libvirt.VIR_DOMAIN_METADATA_DESCRIPTION, text, valid_description)


def set_tags(conn: Any, uuid: str, tags: Iterable[str]) -> None:
    """Replace the tags; what else kvmweb noted in the metadata stays. libvirt: setMetadata ELEMENT."""
    try:
        wanted = valid_tags(tuple(tags))
    except ValueError as error:
        raise VirtError("invalid", str(error)) from error
    with virt_errors():
        domain = conn.lookupByUUIDString(uuid)
        flags = _everywhere(domain)
        guest = _metadata(domain, flags)
        if guest is None:
            guest = etree.Element("guest")
        fill(guest, tags=wanted)
        # libvirt adds the namespace itself, and refuses an element that has it already
        domain.setMetadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, to_text(guest), "kvmweb", KVMWEB, flags)


@virt_errors()
def tags_of(conn: Any, uuid: str) -> tuple[str, ...]:
    """The tags as they are on the host now. libvirt: metadata ELEMENT."""
    domain = conn.lookupByUUIDString(uuid)
    return ours(_metadata(domain, _everywhere(domain)), "tag")


@virt_errors()
def job_of(conn: Any, uuid: str) -> str:
    """The id of kvmweb's job that made the guest, "" if none did: undo takes back only its own."""
    domain = conn.lookupByUUIDString(uuid)
    return next(iter(ours(_metadata(domain, _everywhere(domain)), "job")), "")


@virt_errors()
def set_autostart(conn: Any, uuid: str, wanted: bool) -> None:
    """Whether the host starts the guest when it boots. libvirt: setAutostart. A transient guest is VirtError "state"."""
    domain = conn.lookupByUUIDString(uuid)
    if not domain.isPersistent():
        raise VirtError("state", "a transient guest cannot start by itself")
    if bool(domain.autostart()) != wanted:
        domain.setAutostart(int(wanted))


def send_keys(conn: Any, uuid: str, codes: Sequence[int], hold_ms: int = 100) -> None:
    """Press keys together and let go: Linux key codes (KEY_LEFTCTRL is 29), up to 16. libvirt: sendKey, codeset LINUX."""
    if not 0 < len(codes) <= _MAX_KEYS or not all(0 < code < 0x300 for code in codes) or not 0 <= hold_ms <= 10_000:
        raise VirtError("invalid", "1 to 16 Linux key codes, held for up to 10 seconds")
    with virt_errors():
        domain = _active(conn, uuid)
        domain.sendKey(libvirt.VIR_KEYCODE_SET_LINUX, hold_ms, list(codes), len(codes), 0)


@virt_errors()
def screenshot(conn: Any, uuid: str, *, screen: int = 0) -> tuple[str, bytes]:
    """("image/png", bytes) of what the guest's screen shows now. libvirt: screenshot over a stream.

    QEMU 7.1 and later gives PNG, earlier ones PPM, which is turned into PNG here; at most 64 MiB are read. A guest without
    a graphics card is VirtError "unsupported", one that is off "state".
    """
    domain = _active(conn, uuid)
    if Domain.parse(domain.XMLDesc(0)).video in {"", "none"}:
        raise VirtError("unsupported", "the guest has no graphics card")
    stream = conn.newStream(0)
    kind = domain.screenshot(stream, screen, 0)
    data = bytearray()

    def take(_stream: Any, chunk: bytes, _opaque: Any) -> int:
        data.extend(chunk)
        return len(chunk) if len(data) <= _MAX_PICTURE else -1

    try:
        stream.recvAll(take, None)
    except libvirt.libvirtError:
        stream.abort()
        raise
    stream.finish()
    if kind == "image/png":
        return kind, bytes(data)
    try:
        return "image/png", to_png(bytes(data))
    except ValueError as error:
        raise VirtError("unsupported", str(error)) from error


def _set_text(conn: Any, uuid: str, which: int, text: str, check: Any) -> None:
    try:
        text = check(text)
    except ValueError as error:
        raise VirtError("invalid", str(error)) from error
    with virt_errors():
        domain = conn.lookupByUUIDString(uuid)
        domain.setMetadata(which, text or None, None, None, _everywhere(domain))


def _everywhere(domain: Any) -> int:
    """Where a note is to be written.

    | persistent | active | flags         |
    |------------|--------|---------------|
    | yes        | yes    | LIVE + CONFIG |
    | yes        | no     | CONFIG        |
    | no         | yes    | LIVE          |
    """
    live: int = libvirt.VIR_DOMAIN_AFFECT_LIVE if domain.isActive() else 0
    config: int = libvirt.VIR_DOMAIN_AFFECT_CONFIG if domain.isPersistent() else 0
    return live | config


def _metadata(domain: Any, flags: int) -> etree._Element | None:
    """kvmweb's element, without namespace as libvirt hands it out; of the definition where there is one."""
    where = flags & libvirt.VIR_DOMAIN_AFFECT_CONFIG or flags
    try:
        return parse(domain.metadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, KVMWEB, where))
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN_METADATA:
            return None
        raise


def _active(conn: Any, uuid: str) -> Any:
    domain = conn.lookupByUUIDString(uuid)
    if not domain.isActive():
        raise VirtError("state", "the guest is off")
    return domain


def _lookup(conn: Any, uuid: str) -> Any | None:
    try:
        return conn.lookupByUUIDString(uuid)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return None
        raise


def _named(conn: Any, name: str) -> Any | None:
    try:
        return conn.lookupByName(name)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return None
        raise


def _has_checkpoints(domain: Any) -> bool:
    try:
        return bool(domain.listAllCheckpoints(0))
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_SUPPORT:
            return False
        raise
