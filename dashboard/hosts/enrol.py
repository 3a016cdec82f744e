"""Adding, approving and removing hosts: what changes in our own database, with its audit entries."""

from __future__ import annotations

from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.db import transaction

from dashboard.accounts.audit import record
from dashboard.accounts.grants import forget_host
from dashboard.accounts.models import User
from dashboard.inventory import credentials
from dashboard.inventory.credentials import FIELDS, remove_files, store_secrets
from dashboard.inventory.models import Host, Transport
from dashboard.inventory.publish import publish
from dashboard.inventory.refresh import ask


def new_private_key() -> str:
    """A fresh Ed25519 key in OpenSSH's format."""
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    ).decode()


def public_key(host: Host) -> str:
    """The public half of the host's key, as a line for authorized_keys; "" when it signs in by password."""
    line = credentials.public_key(host)
    return f"{line} kvmweb-{host.name}" if line else ""


def add_host(*, actor: User, data: dict[str, Any], source_ip: str = "") -> Host:
    """Write a host from a valid HostForm's cleaned data. It is connected once its checks allow it."""
    secrets = {field: data[field] for field in FIELDS if data.get(field)}
    if data["transport"] == Transport.SSH and not secrets:
        secrets["private_key"] = new_private_key()
    with transaction.atomic():
        host = Host(
            name=data["name"],
            transport=data["transport"],
            address=data.get("address", ""),
            port=data.get("port"),
            user=data.get("user", ""),
        )
        store_secrets(host, **secrets)
        host.save()
        _record(actor, "host.add", host, source_ip, {"transport": host.transport, "address": host.address})
    ask(host.pk, "host")
    return host


def approve_host_keys(*, actor: User, host: Host, lines: list[str], source_ip: str = "") -> None:
    """Pin the SSH host keys that a person has seen and approved; only these are accepted from now on."""
    with transaction.atomic():
        host.host_keys = "\n".join(lines) + "\n"
        host.status, host.status_text = Host.Status.NEW, ""
        host.save(update_fields=["host_keys", "status", "status_text"])
        _record(actor, "host.approve_key", host, source_ip, {"keys": lines})
    ask(host.pk, "host")


def remove_host(*, actor: User, host: Host, source_ip: str = "") -> None:
    """Forget a host, its mirror and its secrets. The host and its guests are not touched."""
    pk = host.pk
    with transaction.atomic():
        _record(actor, "host.remove", host, source_ip, {"address": host.address})
        host.delete()
        forget_host(pk)
    remove_files(pk)
    publish({"k": "host", "host": pk, "op": "gone", "row": {"id": pk}})
    ask(pk, "host")


def _record(actor: User, action: str, host: Host, source_ip: str, detail: dict[str, Any]) -> None:
    record(
        actor=actor,
        action=action,
        phase="event",
        object_kind="host",
        object_key=str(host.pk),
        object_name=host.name,
        host_name=host.name,
        result="ok",
        source_ip=source_ip,
        detail=detail,
    )
