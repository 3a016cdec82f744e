"""The database of every release becomes today's, with everything that was in it."""

from __future__ import annotations

import copy
import json
import re
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.core.management import call_command
from django.test import Client

from dashboard.accounts.access import can
from dashboard.accounts.models import User
from dashboard.inventory.models import Guest, Host
from dashboard.jobs.models import Job
from dashboard.upkeep import rows
from kvmweb import __version__
from tests.integration.upgrade import released, seed
from tests.lab import database
from tests.lab.redis import RedisServer

MANY_JOBS, MANY_GUESTS = 10_000, 500
LONGEST_SECONDS = 60


@pytest.fixture
def empty(tmp_path: Path, django_db_blocker: Any) -> Iterator[None]:
    """Django's default database is one without a table."""
    own = database.fresh(tmp_path)
    with django_db_blocker.unblock(), own.as_default():
        yield
    own.forget()


@pytest.mark.parametrize("state", released.states(), ids=lambda path: path.stem)
def test_a_release_upgrades_without_losing_a_row_or_a_value(empty: None, state: Path) -> None:
    _, before = released.load(state)
    shape = rows.migrate()
    keys = {model._meta.label_lower: model._meta.pk.attname for model in rows.models_of(shape)}
    after = {name: {row[keys[name]]: row for row in some} for name, some in released.rows_of(shape).items()}
    compared = 0
    for model, some in before.items():
        for row in some:
            found = after[model][row[keys[model]]]
            for field in row.keys() & found.keys():
                assert found[field] == row[field], (model, field)
                compared += 1
        assert len(after[model]) == len(some), model
    assert compared > 500


def test_the_first_releases_roles_became_grants(empty: None) -> None:
    _, before = released.load(released.FOLDER / "0.1.0.json")
    rows.migrate()
    roles = {row["username"]: row["role"] for row in before["accounts.user"]}
    assert set(roles.values()) == {"administrator", "operator", "viewer", ""}
    assert {person.username: person.role for person in User.objects.all()} == roles
    guest = Guest.objects.get(name="db-1")
    allowed = {name: [person.username for person in User.objects.order_by("pk") if can(person, name, guest)]
               for name in ("guest.view", "guest.power", "people.manage")}  # fmt: skip
    assert allowed == {
        "guest.view": ["ada", "olga", "vera", "lilei"],
        "guest.power": ["ada", "olga"],
        "people.manage": ["ada"],
    }


@pytest.mark.parametrize("state", released.states(), ids=lambda path: path.stem)
def test_pages_show_what_the_release_knew(empty: None, redis_server: RedisServer, state: Path, settings: Any) -> None:
    released.load(state)
    rows.migrate()
    settings.ALLOWED_HOSTS = ["testserver"]
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }
    client = Client()
    client.force_login(User.objects.get(username="ada"), backend=settings.AUTHENTICATION_BACKENDS[0])
    guest, job = Guest.objects.get(name="db-1"), Job.objects.get(state="needs_attention")
    for path, words in {
        "/guests/": "db-1",
        f"/guests/{guest.uuid}/?host={guest.host_id}": "The database",
        "/hosts/": "node2",
        f"/jobs/{job.pk}/": "new-4.qcow2",
        "/people/": "olga",
        "/audit/": "mallory",
    }.items():
        response = client.get(path, follow=True)
        assert (path, response.status_code) == (path, 200)
        assert words in response.content.decode(), path


def test_a_large_installation_upgrades_within_a_minute(empty: None) -> None:
    state = json.loads((released.FOLDER / "0.1.0.json").read_text())
    given = state["rows"]
    guest, job = given["inventory.guest"][0], given["jobs.job"][0]
    for number in range(MANY_GUESTS):
        more = {"id": 1000 + number, "uuid": str(uuid.uuid4()), "name": f"guest-{number}"}
        given["inventory.guest"].append({**copy.deepcopy(guest), **more})
    for _ in range(MANY_JOBS):
        given["jobs.job"].append({**copy.deepcopy(job), "id": str(uuid.uuid4()), "idempotency_key": None})
    released.insert(rows.migrate(state["migrations"]), given)
    begun = time.monotonic()
    rows.migrate()
    took = time.monotonic() - begun
    print(f"{MANY_JOBS} jobs and {MANY_GUESTS} guests upgraded in {took:.1f} s")
    assert took < LONGEST_SECONDS
    assert Job.objects.count() == len(given["jobs.job"])
    assert Guest.objects.count() == len(given["inventory.guest"])


def test_new_rows_get_keys_of_their_own_after_an_upgrade(empty: None) -> None:
    _, before = released.load(released.states()[-1])
    rows.migrate()
    fresh = Host.objects.create(name="fresh", transport="test")
    assert fresh.pk not in [row["id"] for row in before["inventory.host"]]


def test_the_next_state_will_hold_something_of_every_table(empty: None, tmp_path: Path) -> None:
    released.load(released.states()[-1])
    shape = rows.migrate()
    seed.later(shape)
    kept = released.rows_of(shape)
    # A sign-in's counters are of the moment: everything else is in it.
    missing = {model._meta.label_lower for model in rows.models_of(shape)} - kept.keys()
    assert missing == set()


@pytest.mark.parametrize("state", released.states(), ids=lambda path: path.stem)
def test_a_released_migration_never_changes(state: Path) -> None:
    files = json.loads(state.read_text())["files"]
    assert released.fingerprints(list(files)) == files


def test_a_release_has_its_state_and_what_has_none_says_that_it_is_no_release(empty: None) -> None:
    """A version like 0.2.0 is released as it is; what comes after it is called 0.3.0.dev0 until it is."""
    known = {path.stem: json.loads(path.read_text())["migrations"] for path in released.states()}
    last = released.states()[-1].stem
    if __version__ in known:
        assert rows.leaves() == known[__version__], (
            f"There are migrations that {__version__} did not have: call this version the next one's, with .dev0 behind."
        )
    else:
        assert re.fullmatch(r"\d+\.\d+\.\d+\.dev0", __version__), (
            f"No state keeps the database of {__version__}: make release-state"
        )
        assert numbers(__version__) > numbers(last), f"{last} is released already"
    assert f'version = "{__version__}"' in (released.ROOT / "pyproject.toml").read_text()


def numbers(version: str) -> list[int]:
    return [int(part) for part in version.removesuffix(".dev0").split(".")]


def test_every_change_of_a_model_has_its_migration(empty: None) -> None:
    rows.migrate()
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


def test_every_app_with_tables_is_kept_in_backups_and_states() -> None:
    ours = {
        config.label for config in apps.get_app_configs() if any(model._meta.managed for model in config.get_models())
    }
    assert ours - {"contenttypes"} == set(rows.APPS)
