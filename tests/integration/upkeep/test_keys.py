"""New keys: what was sealed opens with them and with no others; what a backup, an upgrade or a lost key means for it."""

from __future__ import annotations

import fcntl
import json
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from cryptography.fernet import Fernet

from dashboard.accounts.models import AuditEntry, User
from dashboard.accounts.sealing import Unreadable, seal, unseal
from dashboard.inventory import credentials, sealing
from dashboard.inventory.models import Host
from dashboard.upkeep import rows
from dashboard.virt.errors import VirtError
from tests.integration.upgrade import released
from tests.integration.upkeep.conftest import Make
from tests.integration.upkeep.installation import Installation
from tests.lab.database import Database
from tests.lab.redis import RedisServer

SECRETS = {"password": "correct horse", "private_key": "KEY\n"}


@pytest.fixture(autouse=True)
def _redis(redis_server: RedisServer) -> None:
    """A restore empties it."""


@contextmanager
def inside(one: Installation, blocker: Any, settings: Any) -> Iterator[None]:
    """Its database, and the keys that its files hold now."""
    files = {name: one.state / "secrets" / name for name in ("encryption", "hosts")}
    settings.ENCRYPTION_KEYS = files["encryption"].read_text().split(",")
    settings.HOST_KEYS = files["hosts"].read_text().split(",") if files["hosts"].exists() else []
    settings.HOST_PUBLIC_KEY = ""
    with blocker.unblock(), one.database.as_default():
        yield


def fill(host: Host) -> None:
    """Give a host credentials, and somebody a second factor and recovery codes."""
    credentials.store_secrets(host, **SECRETS)
    host.save()
    person = User.objects.create_user("tina")
    Authenticator.objects.create(user=person, type="totp", data={"secret": seal("JBSWY3DP")})
    Authenticator.objects.create(user=person, type="recovery_codes", data={"seed": seal("abc"), "used_mask": 5})
    Authenticator.objects.create(user=person, type="webauthn", data={"name": "a key", "credential": {}})


@pytest.fixture
def used(own_database: Database, tmp_path: Path, django_db_blocker: Any, settings: Any) -> Installation:
    """One with something of everything that is sealed."""
    made = Installation(tmp_path / "state", own_database)
    (made.state / "secrets").mkdir(mode=0o700)
    (made.state / "secrets" / "encryption").write_text(Fernet.generate_key().decode())
    with inside(made, django_db_blocker, settings):
        fill(Host(name="node1", transport="tcp", address="192.0.2.1"))
    return made


def kept() -> tuple[dict[str, str], str, dict[str, Any]]:
    """What is sealed, in clear."""
    factors = {one.type: one.data for one in Authenticator.objects.filter(user__username="tina")}
    codes = factors["recovery_codes"]
    secrets = credentials.load_secrets(Host.objects.get(name="node1"))
    return secrets, unseal(factors["totp"]["secret"]), {**codes, "seed": unseal(codes["seed"])}


@pytest.mark.parametrize("of_their_own", [False, True], ids=["one key for all", "a key for hosts alone"])
def test_new_keys_open_everything_and_the_old_ones_nothing(
    used: Installation, django_db_blocker: Any, settings: Any, of_their_own: bool
) -> None:
    if of_their_own:
        (used.state / "secrets" / "hosts").write_text(sealing.make_key())
    with inside(used, django_db_blocker, settings):
        assert kept() == (SECRETS, "JBSWY3DP", {"seed": "abc", "used_mask": 5})  # what was sealed before opens, too
        old = settings.ENCRYPTION_KEYS, settings.HOST_KEYS
    said = used.done("renew_keys")
    assert "credentials of 1 hosts, 2 second factors" in said
    assert ("KVMWEB_HOST_PUBLIC_KEY=" in said) is of_their_own
    with inside(used, django_db_blocker, settings):
        assert kept() == (SECRETS, "JBSWY3DP", {"seed": "abc", "used_mask": 5})
        assert AuditEntry.objects.get(action="kvmweb.renew_keys").detail == {"hosts": 1, "factors": 2, "lost": []}
        assert len(settings.ENCRYPTION_KEYS) == 1
        assert stat.S_IMODE((used.state / "secrets" / "encryption").stat().st_mode) == 0o600
        settings.ENCRYPTION_KEYS, settings.HOST_KEYS = old
        with pytest.raises(Unreadable):
            kept_factor = Authenticator.objects.get(type="totp", user__username="tina").data["secret"]
            unseal(kept_factor)
        with pytest.raises(VirtError):
            credentials.load_secrets(Host.objects.get(name="node1"))


def test_keys_that_are_given_are_renewed_by_putting_another_first(
    used: Installation, django_db_blocker: Any, settings: Any
) -> None:
    old = (used.state / "secrets" / "encryption").read_text()
    new, host_key = Fernet.generate_key().decode(), sealing.make_key()
    given = {"KVMWEB_ENCRYPTION_KEYS": f"{new},{old}", "KVMWEB_HOST_KEYS": host_key}
    assert "no longer needed" in used.done("renew_keys", **given)
    assert (used.state / "secrets" / "encryption").read_text() == old  # not its business
    with inside(used, django_db_blocker, settings):
        settings.ENCRYPTION_KEYS, settings.HOST_KEYS = [new], [host_key]
        assert kept()[:2] == (SECRETS, "JBSWY3DP")


def test_keys_stay_while_kvmweb_runs(used: Installation) -> None:
    before = (used.state / "secrets" / "encryption").read_text()
    (used.state / "run").mkdir(mode=0o700)
    with (used.state / "run" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "Stop it first" in used.refused("renew_keys")
    assert (used.state / "secrets" / "encryption").read_text() == before


def test_what_no_key_opens_is_named_and_the_rest_goes_on(
    used: Installation, django_db_blocker: Any, settings: Any
) -> None:
    (used.state / "secrets" / "encryption").write_text(Fernet.generate_key().decode())
    assert "do not open the credentials of: node1" in used.manage("doctor").stdout
    with inside(used, django_db_blocker, settings):
        other = Host(name="node2", transport="tcp", address="192.0.2.2")
        credentials.store_secrets(other, password="other")
        other.save()
    said = used.done("renew_keys")
    assert "credentials of 1 hosts, 0 second factors" in said
    for lost in ("the credentials of node1", "a second factor of tina"):
        assert lost in said
    with inside(used, django_db_blocker, settings):
        assert credentials.load_secrets(Host.objects.get(name="node2")) == {"password": "other"}
        host = Host.objects.get(name="node1")
        credentials.store_secrets(host, password="entered again")
        assert credentials.load_secrets(host) == {"password": "entered again"}


def test_a_process_with_the_public_key_alone_makes_no_backup_that_opens_nothing(
    used: Installation, tmp_path: Path
) -> None:
    public = sealing.public_half(sealing.make_key())
    said = used.refused("backup", tmp_path / "backup.tar.gz", KVMWEB_HOST_PUBLIC_KEY=public)
    assert "KVMWEB_HOST_KEYS" in said
    assert "KVMWEB_HOST_KEYS" in used.refused("renew_keys", KVMWEB_HOST_PUBLIC_KEY=public)


@pytest.mark.parametrize(
    ("source", "target"), [("given", "none"), ("in a file", "given"), ("none", "given"), ("none", "in a file")]
)
def test_a_restored_machine_opens_the_credentials_wherever_the_keys_were(
    installation: Make, used: Installation, django_db_blocker: Any, settings: Any, tmp_path: Path,
    source: str, target: str,
) -> None:  # fmt: skip
    there, here = sealing.make_key(), sealing.make_key()
    if source != "none":
        (used.state / "secrets" / "hosts").write_text(there)
        used.done("renew_keys", **({"KVMWEB_HOST_KEYS": there} if source == "given" else {}))
        there = (used.state / "secrets" / "hosts").read_text()
    used.done("backup", tmp_path / "backup.tar.gz")
    second = installation("second")
    more = {}
    if target == "given":
        more = {"KVMWEB_HOST_KEYS": f"{here},{there}" if source != "none" else here}
    elif target == "in a file":
        (second.state / "secrets").mkdir()
        (second.state / "secrets" / "hosts").write_text(here)
    second.done("restore", tmp_path / "backup.tar.gz", **more)
    assert "Hosts' credentials can be opened" in second.manage("doctor", **more).stdout
    with inside(second, django_db_blocker, settings):
        settings.HOST_KEYS = more["KVMWEB_HOST_KEYS"].split(",") if more else settings.HOST_KEYS
        assert kept()[:2] == (SECRETS, "JBSWY3DP")


def test_credentials_of_the_first_release_are_read_at_once_and_renewed(
    installation: Make, django_db_blocker: Any, settings: Any
) -> None:
    made = installation("old")
    key = Fernet.generate_key()
    (made.state / "secrets").mkdir()
    (made.state / "secrets" / "encryption").write_bytes(key)
    state = json.loads((released.FOLDER / "0.1.0.json").read_text())
    host = next(row for row in state["rows"]["inventory.host"] if row["secrets"])
    host["secrets"] = Fernet(key).encrypt(json.dumps(SECRETS).encode()).decode()  # as that release wrote it
    with inside(made, django_db_blocker, settings):
        released.insert(rows.migrate(state["migrations"]), state["rows"])
        rows.migrate()
        assert credentials.load_secrets(Host.objects.get(pk=host["id"])) == SECRETS
        assert credentials.renew() == []
        renewed = Host.objects.get(pk=host["id"])
        assert renewed.secrets.startswith("{")
        assert credentials.load_secrets(renewed) == SECRETS
        entered = Host.objects.get(pk=host["id"])
        credentials.store_secrets(entered, password="entered meanwhile")
        entered.save()
        assert credentials.renew() == []
        assert credentials.load_secrets(Host.objects.get(pk=host["id"]))["password"] == "entered meanwhile"
