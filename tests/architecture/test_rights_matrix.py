"""Who may do what: role × place of the grant × operation × own, foreign and missing object, tried at both ways in.

The expected outcomes stand in `rights_matrix.txt`, beside this file. After a change that was thought about, write it anew:
`GOLDEN=write .venv/bin/python -m pytest tests/architecture/test_rights_matrix.py`.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from dashboard.accounts.models import Grant, User
from dashboard.accounts.permissions import ROLES
from dashboard.api.changes import PLACES as ROUTES
from dashboard.inventory.models import Guest, Host, Network, Pool
from dashboard.jobs.models import Job
from dashboard.jobs.operation import OPERATIONS, Operation

FILE = Path(__file__).with_name("rights_matrix.txt")
BACKEND = "allauth.account.auth_backends.AuthenticationBackend"
WHERE = ("everything", "host", "tag", "guest")
WHICH = ("own", "foreign", "missing")
WORDS = {202: "allowed", 400: "allowed", 409: "allowed", 422: "allowed", 403: "403", 404: "404"}
"""What was wrong with a wish, or with the moment for it, is told only to who might have it."""
PARAMS: dict[str, Any] = {
    "enabled": True,
    "name": "another",
    "keys": ["KEY_ENTER"],
    "add": ["colour"],
}
"""Values for the parameters that operations must be given; a new operation may need another one here."""


@dataclass
class World:
    """Two hosts, each with a guest, a pool and a network; what is granted is granted on the first, or on its guest's tag."""

    mine: Host
    others: Host

    def target(self, kind: str, which: str) -> tuple[str, str]:
        """(key, host id) of an object of that kind."""
        host = self.others if which == "foreign" else self.mine
        if which == "missing":
            return ("987654", "987654") if kind == "host" else (str(uuid.UUID(int=99)), str(host.pk))
        if kind == "host":
            return str(host.pk), str(host.pk)
        related = {"guest": host.guests, "pool": host.pools, "network": host.networks}[kind]
        return str(related.get().uuid), str(host.pk)

    def key(self, where: str) -> str:
        """The key of a grant there."""
        guest = self.mine.guests.get()
        return {"everything": "", "host": str(self.mine.pk), "tag": "web", "guest": f"{self.mine.pk}/{guest.uuid}"}[
            where
        ]


@pytest.fixture
def world(db: None, settings: Any) -> World:
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }
    hosts = []
    for number, name in enumerate(("alpha", "beta")):
        host = Host.objects.create(name=name, transport="test", status="live")
        tags = ["Web", "green"] if number == 0 else ["blue"]
        Guest.objects.create(
            host=host, uuid=uuid.uuid4(), name=f"g{number}", state="running", tags=tags, tags_text=f" {' '.join(tags)} "
        )
        Pool.objects.create(host=host, uuid=uuid.uuid4(), name="default", state="running")
        Network.objects.create(host=host, uuid=uuid.uuid4(), name="default")
        hosts.append(host)
    return World(*hosts)


def params_of(declared: Operation) -> dict[str, Any]:
    needed = {name for name, field in declared.params.model_fields.items() if field.is_required()}
    needed |= {"add"} & declared.params.model_fields.keys()
    assert needed <= PARAMS.keys(), f"{declared.name}: give PARAMS values for {needed - PARAMS.keys()}"
    return {name: PARAMS[name] for name in needed}


def by_page(client: Client, declared: Operation, key: str, host: str) -> int:
    body = {"kind": declared.target, "key": key, "host": host, "params": params_of(declared)}
    return int(client.post(f"/operations/{declared.name}/", json.dumps(body), "application/json").status_code)


def by_api(client: Client, declared: Operation, key: str, host: str) -> int:
    kind = declared.target
    route = ROUTES[kind][0].replace("{uuid:key}", key).replace("{int:key}", key)
    verb = declared.name if kind == "none" else declared.name.partition(".")[2]
    query = "" if kind == "host" else f"?host={host}"
    answer = client.post(f"/api/v1{route}{verb}{query}", json.dumps(params_of(declared)), "application/json")
    return int(answer.status_code)


def outcome(client: Client, declared: Operation, key: str, host: str) -> str:
    """What both ways in say; they must agree."""
    page, api = by_page(client, declared, key, host), by_api(client, declared, key, host)
    assert page in WORDS and api in WORDS, f"{declared.name}: {page}, {api}"
    assert WORDS[page] == WORDS[api], f"{declared.name}: the page says {page}, the API {api}"
    return WORDS[page]


def granted(world: World, role: str, where: str) -> Client:
    user = User.objects.create_user(f"{role}-{where}")
    Grant.objects.create(user=user, role=role, place=where, key=world.key(where))
    client = Client(HTTP_HOST="127.0.0.1")
    client.force_login(user, backend=BACKEND)
    return client


def rows(world: World) -> Iterator[str]:
    clients = {(role, where): granted(world, role, where) for role in ROLES for where in WHERE}
    for name, declared in sorted(OPERATIONS.items()):
        if declared.target == "none":
            continue
        for where in WHERE:
            cells = []
            for role in ROLES:
                found = [outcome(clients[role, where], declared, *world.target(declared.target, one)) for one in WHICH]
                cells.append(f"{role} {'/'.join(found)}")
            yield f"{name:<28} {where:<11} {'  '.join(cells)}".rstrip()


@pytest.mark.timeout(600)
def test_who_may_do_what_to_own_foreign_and_missing_objects_is_as_written_down(world: World) -> None:
    head = [f"{'operation':<28} {'granted on':<11} role {'/'.join(WHICH)}"]
    now = "\n".join([*head, *rows(world)]) + "\n"
    if os.environ.get("GOLDEN") == "write":
        FILE.write_text(now, encoding="utf-8")
    assert now.splitlines() == FILE.read_text(encoding="utf-8").splitlines()


def test_the_written_matrix_keeps_its_promises() -> None:
    """Whoever writes the file anew cannot write these away."""
    lines = [line.split() for line in FILE.read_text(encoding="utf-8").splitlines()[1:]]
    assert {line[0] for line in lines} == {name for name, one in OPERATIONS.items() if one.target != "none"}
    for name, where, *cells in lines:
        found = {
            role: dict(zip(WHICH, said.split("/"), strict=True))
            for role, said in zip(cells[::2], cells[1::2], strict=True)
        }
        for role, said in found.items():
            assert said["missing"] == "404", (name, where, role)
            if where != "everything":
                assert said["foreign"] == "404", (name, where, role)
        assert found["viewer"]["own"] != "allowed", (name, where)
        holds = OPERATIONS[name].permission in ROLES["operator"]
        assert (found["operator"]["own"] == "allowed") <= holds, (name, where)


def queries(world: World, client: Client, guest: str) -> list[str]:
    """The kinds of queries that a refused wish makes."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as captured:
        assert by_page(client, OPERATIONS["guest.start"], guest, str(world.others.pk)) == 404
        assert by_api(client, OPERATIONS["guest.start"], guest, str(world.others.pk)) == 404
    return [" ".join(query["sql"].split()[:4]) for query in captured.captured_queries]


@pytest.mark.parametrize("where", ["host", "tag", "guest"])
def test_a_foreign_and_a_missing_guest_cost_the_same(world: World, where: str) -> None:
    """Who measures time learns nothing: the same queries are made, and the same rows (none) come back."""
    client = granted(world, "operator", where)
    foreign = str(world.others.guests.get().uuid)
    queries(world, client, foreign)  # notes once a minute that the session is in use
    assert queries(world, client, foreign) == queries(world, client, str(uuid.UUID(int=99)))
    assert not Job.objects.exists()


def test_what_a_grant_does_not_cover_makes_nothing_ambiguous(world: World) -> None:
    """Two hosts have a guest of one UUID; who sees one of them need not say which, and learns of no other."""
    mine = world.mine.guests.get()
    world.others.guests.update(uuid=mine.uuid)
    body = {"kind": "guest", "key": str(mine.uuid), "params": {}}
    client = granted(world, "operator", "tag")
    assert client.post("/operations/guest.pause/", json.dumps(body), "application/json").status_code == 202
    assert Job.objects.get().host == world.mine
    everything = granted(world, "operator", "everything")
    assert everything.post("/operations/guest.pause/", json.dumps(body), "application/json").status_code == 404
