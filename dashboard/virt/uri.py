"""How a host is reached, as checked fields, and the one place where a libvirt URI is built from them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from pathlib import PurePosixPath
from typing import Literal
from urllib.parse import quote, urlencode


def gettext_noop(text: str) -> str:
    """Mark a sentence for translation, for those who show it; `virt` itself knows no language."""
    return text


Transport = Literal["local", "ssh", "tls", "tcp", "test"]
DEFAULT_PORTS = {"ssh": 22, "tls": 16514, "tcp": 16509}
QUERY_KEYS = frozenset({"socket", "pkipath"})
"""The only parameters that a URI of ours may carry; `command` and `netcat` run programs and are not among them."""

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}", re.ASCII)


@dataclass(frozen=True)
class HostSpec:
    """What is needed to reach one libvirt host. Files and folders are ours, written by the caller, mode 0600 and 0700."""

    key: str
    """Names the host in the pool and in log lines; never part of the URI."""
    transport: Transport
    address: str = ""
    """Name or IP literal; for "test" an absolute node file, or "" for libvirt's default one."""
    port: int | None = None
    user: str = ""
    socket: str = ""
    """Path of the local libvirt's UNIX socket ("local" only); "" is libvirt's usual place."""
    key_file: str = ""
    known_hosts: str = ""
    password: str = field(default="", repr=False)
    pki_dir: str = ""


def valid_address(value: str) -> str:
    """The address in its normal form: lower case, IPv6 without brackets. ValueError says what is wrong with it."""
    text = value[1:-1] if value.startswith("[") and value.endswith("]") else value
    if ":" in text:
        return _ipv6(text)
    if value != text:
        raise ValueError(gettext_noop("Square brackets belong around an IPv6 address only."))
    name = text.lower() if text.isascii() else text
    labels = name.split(".")
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError(
            gettext_noop(
                "A host name has letters, digits, hyphens and dots only (international names in their xn-- form)."
            )
        )
    if _NUMBER.fullmatch(labels[-1]):
        try:
            return str(IPv4Address(name))
        except ValueError as error:
            raise ValueError(
                gettext_noop("An IPv4 address has four numbers from 0 to 255, with dots between them.")
            ) from error
    return name


def _ipv6(text: str) -> str:
    try:
        address = IPv6Address(text)
    except ValueError as error:
        raise ValueError(gettext_noop("This is not an IPv6 address. The port has a field of its own.")) from error
    if address.scope_id is not None:
        raise ValueError(gettext_noop("An IPv6 address with a zone (the part after %) is not supported."))
    return str(address)


def valid_user(value: str) -> str:
    """The user name unchanged; ValueError says what is wrong with it."""
    if not _USER.fullmatch(value):
        raise ValueError(
            gettext_noop(
                "A user name starts with a small letter or an underscore and has up to 32 small letters, digits, hyphens and underscores."
            )
        )
    return value


def valid_port(value: int) -> int:
    """The port unchanged; ValueError if there is no such port."""
    if isinstance(value, bool) or not 1 <= value <= 65535:
        raise ValueError("A port is a number from 1 to 65535.")
    return value


def valid_path(value: str) -> str:
    """An absolute path without tricks, unchanged; ValueError says what is wrong with it."""
    if not value.startswith("/") or value.startswith("//") or ".." in PurePosixPath(value).parts:
        raise ValueError("A path starts with one slash and does not climb with '..'.")
    if not value.isprintable():
        raise ValueError("A path has printable characters only.")
    return value


def build_uri(spec: HostSpec) -> str:
    """The libvirt URI of a host. Raises ValueError with a plain sentence if a field may not stand in one."""
    match spec.transport:
        case "local":
            return _with("qemu+unix:///system", socket=valid_path(spec.socket)) if spec.socket else "qemu:///system"
        case "ssh":
            raise ValueError("An SSH host is reached through a socket of this machine: see virt.relay.")
        case "tls":
            return _with(
                f"qemu+tls://{_authority(spec)}/system", pkipath=_ours(spec.pki_dir, "folder of TLS certificates")
            )
        case "tcp":
            return f"qemu+tcp://{_authority(spec)}/system"
        case "test":
            return "test://" + (quote(valid_path(spec.address), safe="/") if spec.address else "/default")
    raise ValueError("A host is reached by local socket, SSH, TLS or TCP.")


def _authority(spec: HostSpec) -> str:
    address = valid_address(spec.address)
    host = f"[{address}]" if ":" in address else address
    return f"{host}:{valid_port(spec.port)}" if spec.port is not None else host


def _ours(path: str, what: str) -> str:
    if not path:
        raise ValueError(f"The {what} of this host is missing.")
    return valid_path(path)


def _with(base: str, **query: str) -> str:
    if not QUERY_KEYS.issuperset(query):
        raise ValueError("This parameter may not stand in a libvirt URI.")
    return base + "?" + urlencode(query, quote_via=quote, safe="/,")
