"""New keys for what the database keeps sealed: made, everything sealed anew with them, and the old ones dropped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from allauth.mfa.models import Authenticator
from cryptography.fernet import Fernet
from django.conf import settings
from django.db import transaction

from dashboard.accounts import audit
from dashboard.accounts.sealing import Unreadable, seal, unseal
from dashboard.inventory import credentials, sealing
from dashboard.inventory.models import Host
from dashboard.upkeep import rows, stillness
from kvmweb import env, secrets

KEYS: dict[str, tuple[str, str, Callable[[], str]]] = {
    "ENCRYPTION_KEYS": ("KVMWEB_ENCRYPTION_KEYS", "encryption", lambda: Fernet.generate_key().decode()),
    "HOST_KEYS": ("KVMWEB_HOST_KEYS", "hosts", sealing.make_key),
}
"""Name in the settings → setting, file in the state folder's `secrets`, how one is made."""
SEALED = ("secret", "seed", "migrated_codes")
"""Where allauth keeps what it seals, in the data of a second factor."""


class Refused(Exception):
    """Why nothing was changed; the text says what to do."""


@dataclass
class Report:
    """What is sealed anew, what nobody can read any more, and what is left to do."""

    hosts: int = 0
    factors: int = 0
    lost: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def renew() -> Report:
    """Seal everything with the newest keys: those given first in the settings, or new ones where files hold them.

    Whatever it is interrupted by, the files hold the keys that open what the database has.
    """
    with stillness.kept() as reason:
        if reason:
            raise Refused(reason)
        if rows.pending():
            raise Refused("The database is that of an older version. Run manage.py migrate first.")
        if not credentials.can_read():
            raise Refused("Only KVMWEB_HOST_PUBLIC_KEY is here. Run this where KVMWEB_HOST_KEYS is, too.")
        made = [name for name, (setting, file, _make) in KEYS.items() if not env.text(setting) and _file(file).exists()]
        for name in made:
            _write(name, [KEYS[name][2](), *getattr(settings, name)])
        report = _seal_anew()
        for name in made:
            _write(name, getattr(settings, name)[:1])
    report.notes = [
        f"{setting} is given: the keys behind its first one are no longer needed, except by older backups."
        for name, (setting, _file_name, _make) in KEYS.items()
        if name not in made and len(getattr(settings, name)) > 1
    ]
    public = sealing.public_half(settings.HOST_KEYS[0]) if settings.HOST_KEYS else ""
    if public != settings.HOST_PUBLIC_KEY:
        report.notes.append(f"The web process now needs KVMWEB_HOST_PUBLIC_KEY={public}")
    return report


def _file(name: str) -> Path:
    return Path(settings.STATE_DIR) / "secrets" / name


def _write(name: str, keys: list[str]) -> None:
    secrets.replace(_file(KEYS[name][1]), ",".join(keys))
    setattr(settings, name, keys)


def _seal_anew() -> Report:
    with transaction.atomic():
        report = Report(lost=[f"the credentials of {host}" for host in credentials.renew()])
        report.hosts = Host.objects.exclude(secrets="").count() - len(report.lost)
        for factor in Authenticator.objects.select_related("user").select_for_update():
            _factor(factor, report)
        facts = {"hosts": report.hosts, "factors": report.factors, "lost": report.lost}
        audit.record(actor=None, action="kvmweb.renew_keys", phase="event", result="ok", detail=facts)
    return report


def _factor(factor: Authenticator, report: Report) -> None:
    sealed = {name: factor.data[name] for name in SEALED if name in factor.data}
    if not sealed:
        return
    try:
        factor.data |= {name: _again(value) for name, value in sealed.items()}
    except Unreadable:
        report.lost.append(f"a second factor of {factor.user} ({factor.get_type_display()})")
        return
    factor.save(update_fields=["data"])
    report.factors += 1


def _again(value: Any) -> Any:
    return [_again(one) for one in value] if isinstance(value, list) else seal(unseal(value))
