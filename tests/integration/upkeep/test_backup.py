"""One command makes a backup, one restores it; what must not be restored is refused, and then nothing has changed."""

from __future__ import annotations

import json
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from dashboard.accounts.models import AuditEntry, User
from dashboard.inventory.models import Host
from dashboard.jobs.models import Job
from dashboard.upkeep import archive, backup, rows
from tests.integration.upgrade import released
from tests.integration.upkeep.conftest import Make
from tests.integration.upkeep.installation import Installation
from tests.lab import database
from tests.lab.redis import RedisServer

ENDED = {"state", "error", "error_code", "error_values", "holder", "lease_until", "finished_at", "attempt", "progress"}
KINDS = [("", ""), ("", "sqlite"), ("sqlite", "")]


@pytest.fixture(autouse=True)
def _redis(redis_server: RedisServer) -> None:
    """Something to be emptied."""


@contextmanager
def inside(installation: Installation, blocker: Any) -> Iterator[None]:
    with blocker.unblock(), installation.database.as_default():
        yield


def everything(installation: Installation, blocker: Any) -> released.Rows:
    with inside(installation, blocker):
        return released.rows_of(rows.migrate())


def keys_of(some: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {json.dumps([row.get("id"), row.get("key"), row.get("session_key")]): row for row in some}


@pytest.mark.parametrize(("source", "target"), KINDS)
def test_everything_comes_back_on_either_database(
    installation: Make, full: Installation, django_db_blocker: Any, tmp_path: Path, source: str, target: str
) -> None:
    if "sqlite" in (source, target) and not database.postgresql():
        source = target = ""  # from this database to itself: the run on PostgreSQL crosses over
    first = full
    if source == "sqlite":  # what is full on PostgreSQL goes to SQLite first, and comes from there
        first = installation("first", "sqlite")
        first.done("restore", _backed_up(full, tmp_path / "full.tar.gz"))
    second = installation("second", target)
    said = second.done("restore", _backed_up(first, tmp_path / "backup.tar.gz"))
    assert "Restored:" in said
    before, after = everything(first, django_db_blocker), everything(second, django_db_blocker)
    for model in set(before) - set(backup.MOMENTARY):
        there = keys_of(after[model])
        for key, row in keys_of(before[model]).items():
            changed = {name for name in row if row[name] != there[key][name]}
            assert changed <= allowed(model, row), (model, changed)
    assert not set(after) & (set(backup.MOMENTARY) - {"accounts.counted"})
    for name in archive.SECRETS:
        assert (second.state / name).read_text() == (first.state / name).read_text()
        assert stat.S_IMODE((second.state / name).stat().st_mode) == 0o600


def allowed(model: str, row: dict[str, Any]) -> set[str]:
    """What a restore changes on purpose."""
    if model == "inventory.host":
        return {"status", "status_text", "status_detail", "connected_at"}
    if model == "jobs.job" and row["state"] in Job.ACTIVE:
        return ENDED
    return set()


def _backed_up(one: Installation, target: Path, *more: object) -> Path:
    one.done("backup", target, *more)
    return target


def test_no_job_of_the_backup_is_left_to_run_and_the_log_says_why(
    installation: Make, full: Installation, django_db_blocker: Any, tmp_path: Path
) -> None:
    second = installation("second")
    with inside(full, django_db_blocker):
        active = set(Job.objects.filter(state__in=Job.ACTIVE).values_list("pk", flat=True))
        final = dict(Job.objects.exclude(state__in=Job.ACTIVE).values_list("pk", "state"))
        known = dict(Job.objects.exclude(idempotency_key=None).values_list("idempotency_key", "pk"))
    assert len(active) >= 3
    second.done("restore", _backed_up(full, tmp_path / "backup.tar.gz"))
    with inside(second, django_db_blocker):
        assert not Job.objects.filter(state__in=Job.ACTIVE).exists()
        for job in Job.objects.filter(pk__in=active):
            assert (job.state, job.error_code, job.holder) == ("needs_attention", "restored", "")
            assert job.lines.filter(level="warning", text__contains="restored from a backup").exists()
            assert AuditEntry.objects.filter(job_id=job.pk, phase="end", result="needs_attention").count() == 1
        assert dict(Job.objects.exclude(pk__in=active).values_list("pk", "state")) == final
        assert dict(Job.objects.exclude(idempotency_key=None).values_list("idempotency_key", "pk")) == known
        entry = AuditEntry.objects.get(action="kvmweb.restore")
        assert entry.detail["jobs"] == len(active)
        assert set(Host.objects.filter(enabled=True).values_list("status", flat=True)) == {"connecting"}


def test_a_backup_is_for_its_owner_only_and_never_written_over(full: Installation, tmp_path: Path) -> None:
    target = _backed_up(full, tmp_path / "backup.tar.gz")
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert "exists already" in full.refused("backup", target)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_backup_that_finds_no_room_says_so_and_leaves_nothing(full: Installation, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", small], check=True)
    try:
        assert "Make room" in full.refused("backup", small / "backup.tar.gz")
        assert list(small.iterdir()) == []
    finally:
        subprocess.run(["umount", small], check=True)


def test_a_sealed_backup_opens_with_its_passphrase_only(installation: Make, full: Installation, tmp_path: Path) -> None:
    right, wrong = tmp_path / "right", tmp_path / "wrong"
    right.write_text("correct horse battery\n")
    wrong.write_text("incorrect horse battery\n")
    target = _backed_up(full, tmp_path / "backup.sealed", "--passphrase-file", right)
    assert b"secrets/" not in target.read_bytes()
    second = installation("second")
    assert "passphrase" in second.refused("restore", target)
    assert "passphrase is wrong" in second.refused("restore", target, "--passphrase-file", wrong)
    cut = tmp_path / "cut"
    cut.write_bytes(target.read_bytes()[:-1])
    assert "damaged" in second.refused("restore", cut, "--passphrase-file", right)
    assert "Restored:" in second.done("restore", target, "--passphrase-file", right)


def test_a_damaged_backup_is_refused_before_anything_changes(
    installation: Make, full: Installation, tmp_path: Path
) -> None:
    target = _backed_up(full, tmp_path / "backup.tar.gz")
    whole, second = target.read_bytes(), installation("second")
    damaged = tmp_path / "damaged"
    middle = len(whole) // 2
    flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
    for content in (whole[:middle], flipped, b"", b"something else"):
        damaged.write_bytes(content)
        second.refused("restore", damaged)
    assert "Restored:" in second.done("restore", target)  # it was still empty


def test_rows_that_were_changed_in_the_archive_are_noticed(
    installation: Make, full: Installation, tmp_path: Path
) -> None:
    folder, forged = tmp_path / "there", tmp_path / "forged.tar.gz"
    folder.mkdir()
    manifest = archive.read(_backed_up(full, tmp_path / "backup.tar.gz"), folder)
    lines = (folder / archive.ROWS).read_text()
    facts = dict(manifest.members)
    (folder / archive.ROWS).write_text(lines.replace('"vera"', '"evil"'))
    with forged.open("wb") as file:
        archive.write(folder, manifest, file)
    # A manifest that fits is what whoever changed it would write; one that does not is a damaged file.
    manifest.members = facts
    text = archive.read(forged, _made(tmp_path / "again"))
    assert text.members[archive.ROWS] != facts[archive.ROWS]


def _made(path: Path) -> Path:
    path.mkdir()
    return path


def test_a_backup_of_a_newer_version_is_refused(installation: Make, full: Installation, tmp_path: Path) -> None:
    folder, newer = _made(tmp_path / "there"), tmp_path / "newer.tar.gz"
    manifest = archive.read(_backed_up(full, tmp_path / "backup.tar.gz"), folder)
    manifest.version, manifest.migrations["jobs"] = "99.0", "0999_something_new"
    with newer.open("wb") as file:
        archive.write(folder, manifest, file)
    said = installation("second").refused("restore", newer)
    assert "newer kvmweb (99.0" in said
    assert "jobs.0999_something_new" in said


@pytest.mark.parametrize("state", released.states(), ids=lambda path: path.stem)
def test_a_backup_of_an_older_version_is_restored_and_migrated(
    installation: Make, django_db_blocker: Any, tmp_path: Path, state: Path
) -> None:
    old = json.loads(state.read_text())
    folder = _made(tmp_path / "old")
    lines = [json.dumps([name, row]) for name, some in old["rows"].items() for row in some]
    (folder / archive.ROWS).write_text("\n".join(lines) + "\n")
    manifest = archive.Manifest(state.stem, "2026-11-23T12:00:00+00:00", "old", "sqlite", old["migrations"], {}, {})
    with (tmp_path / "old.tar.gz").open("wb") as file:
        archive.write(folder, manifest, file)
    second = installation("second")
    second.done("restore", tmp_path / "old.tar.gz")
    with inside(second, django_db_blocker):
        assert not rows.pending()
        assert User.objects.get(username="ada").role == "administrator"
        assert Job.objects.count() == len(old["rows"]["jobs.job"])


def test_an_installation_in_use_is_replaced_only_on_purpose_and_kept_aside(
    installation: Make, full: Installation, django_db_blocker: Any, tmp_path: Path
) -> None:
    target = _backed_up(full, tmp_path / "backup.tar.gz")
    second = installation("second")
    second.done("migrate", "-v0")
    with inside(second, django_db_blocker):
        User.objects.create_user("somebody-else")
    second_secret = (second.state / "secrets" / "encryption").read_text()
    assert "--replace" in second.refused("restore", target)
    with inside(second, django_db_blocker):
        assert list(User.objects.values_list("username", flat=True)) == ["somebody-else"]
    assert "What was here before is in" in second.done("restore", target, "--replace")
    with inside(second, django_db_blocker):
        assert User.objects.filter(username="vera").exists()
        assert not User.objects.filter(username="somebody-else").exists()
    aside = next(second.state.glob("replaced-*"))
    assert (aside / "secret-encryption").read_text() == second_secret
    third = installation("third")
    third.done("restore", aside / "kvmweb-backup.tar.gz")
    with inside(third, django_db_blocker):
        assert list(User.objects.values_list("username", flat=True)) == ["somebody-else"]


def test_a_restore_that_fails_in_the_middle_leaves_all_as_it_was(
    installation: Make, full: Installation, django_db_blocker: Any, tmp_path: Path
) -> None:
    folder, broken = _made(tmp_path / "there"), tmp_path / "broken.tar.gz"
    manifest = archive.read(_backed_up(full, tmp_path / "backup.tar.gz"), folder)
    lines = (folder / archive.ROWS).read_text().splitlines()
    # A volume of a pool that does not exist: found only when all is written.
    lines = [line.replace('"pool_id":1', '"pool_id":4711') for line in lines]
    (folder / archive.ROWS).write_text("\n".join(lines) + "\n")
    with broken.open("wb") as file:
        archive.write(folder, manifest, file)
    second = installation("second")
    second.done("migrate", "-v0")
    with inside(second, django_db_blocker):
        User.objects.create_user("somebody-else")
    asked = second.manage("restore", broken, "--replace")
    assert asked.returncode != 0
    assert "Traceback" not in asked.stderr
    assert "as it was" in asked.stderr
    with inside(second, django_db_blocker):
        assert list(User.objects.values_list("username", flat=True)) == ["somebody-else"]
        assert connection.introspection.table_names()


def test_keys_of_the_environment_that_do_not_fit_are_refused(
    installation: Make, full: Installation, tmp_path: Path
) -> None:
    other = "Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4Zm9vYmFyYmE="
    target = _backed_up(full, tmp_path / "backup.tar.gz")
    said = installation("second").refused("restore", target, KVMWEB_ENCRYPTION_KEYS=other)
    assert "KVMWEB_ENCRYPTION_KEYS" in said


def test_key_files_of_the_installation_itself_get_the_keys_of_the_backup(
    installation: Make, full: Installation, tmp_path: Path
) -> None:
    target, second = _backed_up(full, tmp_path / "backup.tar.gz"), installation("second")
    own = tmp_path / "own"
    own.mkdir()
    key = own / "encryption"
    key.write_text("Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4Zm9vYmFyYmE=")
    key.chmod(0o640)
    given = {"KVMWEB_ENCRYPTION_KEYS_FILE": str(key)}
    assert "KVMWEB_ENCRYPTION_KEYS is given" in second.refused("restore", target, "--keys", tmp_path / "other", **given)
    second.done("restore", target, "--keys", own, **given)
    assert key.read_text() == (full.state / "secrets" / "encryption").read_text()
    assert key.stat().st_mode & 0o777 == 0o640, "who may read it may read it still"
    assert not (second.state / "secrets" / "encryption").exists(), "the setting names another place"
