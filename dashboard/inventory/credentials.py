"""Hosts' credentials: sealed in the database, files of mode 0600 in the state folder for as long as libvirt needs them."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import secrets
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives import serialization
from django.conf import settings

from dashboard.inventory import sealing
from dashboard.inventory.models import Host, Transport
from dashboard.virt.errors import VirtError
from dashboard.virt.uri import HostSpec
from dashboard.virt.uri import Transport as SpecTransport

log = logging.getLogger(__name__)

FIELDS = ("private_key", "password", "ca", "client_cert", "client_key")


def _privates() -> list[str]:
    """The keys that open credentials, newest first: those given, then those made of the installation's other keys.

    None in a process that is given the public half only: it takes credentials in and cannot read them again.
    """
    if settings.HOST_PUBLIC_KEY and not settings.HOST_KEYS:
        return []
    # What was sealed before there were keys for hosts alone is still read, until `renew` has sealed it anew.
    return [*settings.HOST_KEYS, *(sealing.derived(key.strip()) for key in settings.ENCRYPTION_KEYS)]


def can_read() -> bool:
    """Whether this process has keys that open credentials, and not the public half alone."""
    return bool(_privates())


def _public() -> str:
    if settings.HOST_PUBLIC_KEY and not settings.HOST_KEYS:
        return str(settings.HOST_PUBLIC_KEY)
    return sealing.public_half(_privates()[0])


def load_secrets(host: Host) -> dict[str, str]:
    """The host's secrets in clear, by field; {} if it has none. Never to be shown or logged.

    Raises VirtError "auth" if their key is not here (any more).
    """
    if not host.secrets:
        return {}
    try:
        if not host.secrets.startswith("{"):
            return _loaded_as_before(host)
        sealed: dict[str, str] = json.loads(host.secrets)["sealed"]
        privates = _privates()
        return {name: sealing.unseal(privates, text, name) for name, text in sealed.items()}
    except (InvalidToken, sealing.Unreadable) as error:
        raise VirtError("auth", "The stored credentials cannot be decrypted: enter them again.") from error


def _loaded_as_before(host: Host) -> dict[str, str]:
    """Credentials as versions before 0.2 kept them: one text under a key that the web process has, too."""
    fernet = MultiFernet([Fernet(key.strip()) for key in settings.ENCRYPTION_KEYS])
    return cast("dict[str, str]", json.loads(fernet.decrypt(host.secrets.encode())))


def store_secrets(host: Host, **fields: str) -> None:
    """Put secrets into `host.secrets` (not saved); fields not named keep their value, "" removes one."""
    unknown = set(fields) - set(FIELDS)
    if unknown:
        raise KeyError(f"no such secret: {', '.join(sorted(unknown))}")
    if host.secrets and not host.secrets.startswith("{"):
        with suppress(InvalidToken):  # its key is lost, and it with it
            fields = {**_loaded_as_before(host), **fields}
        host.secrets = ""
    kept: dict[str, Any] = json.loads(host.secrets) if host.secrets else {"sealed": {}, "public": ""}
    if privates := _privates():
        kept["sealed"] = {name: text for name, text in kept["sealed"].items() if _opens(text, name, privates)}
    kept["sealed"] |= {name: sealing.seal(_public(), text, name) for name, text in fields.items() if text}
    for name in [name for name, text in fields.items() if not text]:
        kept["sealed"].pop(name, None)
    if "private_key" in fields:
        kept["public"] = _public_line(fields["private_key"])
    host.secrets = json.dumps(kept, separators=(",", ":")) if kept["sealed"] else ""


def public_key(host: Host) -> str:
    """The public half of the host's SSH key, without a comment; "" if it has none."""
    if host.secrets.startswith("{"):
        return str(json.loads(host.secrets)["public"])
    try:
        return _public_line(load_secrets(host).get("private_key", ""))
    except VirtError:
        return ""  # the host's check says that it cannot be read


def _public_line(private: str) -> str:
    if not private:
        return ""
    load = serialization.load_ssh_private_key if "OPENSSH" in private else serialization.load_pem_private_key
    try:
        half = load(private.encode(), password=None).public_key()
        return half.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode()
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return ""  # ssh will say what is wrong with it


def reencrypt(host: Host) -> None:
    """Seal `host.secrets` (not saved) with the newest key, so that older keys can be dropped."""
    secret = load_secrets(host)
    host.secrets = ""
    store_secrets(host, **secret)


def renew() -> list[Host]:
    """Seal with the newest key what older keys or versions before 0.2 sealed; the hosts whose keys are not here.

    For a process that has the keys, when it starts.
    """
    lost = []
    for host in Host.objects.exclude(secrets="") if can_read() else ():
        before = host.secrets
        if _newest(before):
            continue
        try:
            reencrypt(host)
        except VirtError as error:
            log.warning("Host %s: %s", host, error)
            lost.append(host)
        else:  # unless somebody has entered others meanwhile
            Host.objects.filter(pk=host.pk, secrets=before).update(secrets=host.secrets)
    return lost


def unreadable() -> list[Host]:
    """The hosts whose credentials none of the keys that are here opens."""
    lost = []
    for host in Host.objects.exclude(secrets="") if can_read() else ():
        try:
            load_secrets(host)
        except VirtError:
            lost.append(host)
    return lost


def _newest(kept: str) -> bool:
    sealed = json.loads(kept)["sealed"] if kept.startswith("{") else {"": ""}
    newest = _privates()[:1]
    return all(_opens(text, name, newest) for name, text in sealed.items())


def _opens(text: str, name: str, privates: list[str]) -> bool:
    try:
        sealing.unseal(privates, text, name)
    except sealing.Unreadable:
        return False
    return True


def folder_of(host: Host) -> Path:
    """Where this host's files are."""
    return Path(settings.HOST_FILES_DIR) / str(host.pk)


def remove_files(host_id: int) -> None:
    """Remove the files of a host that is no longer enrolled."""
    shutil.rmtree(Path(settings.HOST_FILES_DIR) / str(host_id), ignore_errors=True)


def spec_for(host: Host, *, folder: Path | None = None) -> HostSpec:
    """How to reach `host`, its key, known hosts and certificates written as files (in `folder`, or its own).

    Give `folder` for a host that is not saved yet. Raises VirtError ("host_key" for an SSH host without approved keys).
    """
    if folder is None and host.pk is None:
        raise ValueError("a host that is not saved needs a folder")
    key, transport = str(host.pk or "new"), cast("SpecTransport", str(host.transport))
    if host.transport == Transport.LOCAL:
        socket = host.address if host.address.startswith("/") else settings.LIBVIRT_SOCKET
        return HostSpec(key=key, transport=transport, socket=socket)
    if host.transport == Transport.TEST:
        return HostSpec(key=key, transport=transport, address=host.address)
    if host.transport == Transport.SSH and not host.host_keys.strip():
        raise VirtError("host_key", "No host key has been approved yet.")
    secret = load_secrets(host)
    place = folder or _place(host)
    return HostSpec(
        key=key,
        transport=transport,
        address=host.address,
        port=host.port,
        user=host.user,
        password=secret.get("password", ""),
        key_file=_file(place / "id", _lines(secret.get("private_key", ""))),
        known_hosts=_file(place / "known_hosts", _lines(host.host_keys)) if host.transport == Transport.SSH else "",
        pki_dir=_pki(place, secret) if host.transport == Transport.TLS else "",
    )


def _place(host: Host) -> Path:
    """A folder for this set of credentials: new ones make a different spec, so no connection made with older ones is
    used again. Folders of older sets go."""
    digest = hashlib.sha256(f"{host.secrets}|{host.host_keys}".encode()).hexdigest()[:16]
    place = folder_of(host) / digest
    if not place.exists():
        _private(place)
        for other in folder_of(host).iterdir():
            if other != place:
                shutil.rmtree(other, ignore_errors=True)
    return place


def _private(folder: Path) -> None:
    """Make a folder, and those above it that are missing, for our eyes only (mkdir's mode counts for the last only)."""
    if not folder.exists():
        _private(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


def _pki(place: Path, secret: dict[str, str]) -> str:
    names = {"ca": "cacert.pem", "client_cert": "clientcert.pem", "client_key": "clientkey.pem"}
    for field, name in names.items():
        _file(place / "pki" / name, _lines(secret.get(field, "")))
    return str(place / "pki")


def _lines(text: str) -> str:
    """Text as pasted into a form, with UNIX line ends and one at its end: OpenSSH refuses keys without."""
    clean = text.replace("\r\n", "\n").strip()
    return clean + "\n" if clean else ""


def _file(path: Path, text: str) -> str:
    """Have `text` in `path` with mode 0600 and return the path; "" and no file when there is no text."""
    if not text:
        path.unlink(missing_ok=True)
        return ""
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return str(path)
    _private(path.parent)
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    fresh.replace(path)
    return str(path)
