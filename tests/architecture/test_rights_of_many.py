"""Who may do what to many guests at once, and whose consoles are opened how: role × place of the grant × own, foreign, missing.

The expected outcomes stand in `rights_of_many.txt`, beside this file; it is written anew as `rights_matrix.txt` is.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from dashboard.accounts.models import Grant, User
from dashboard.accounts.permissions import ROLES
from dashboard.consoles import tickets
from dashboard.guests import many
from dashboard.jobs.many import params_of
from dashboard.jobs.models import Job
from dashboard.jobs.operation import OPERATIONS, NoParams, Operation
from tests.architecture.test_rights_matrix import PARAMS, WHERE, WHICH, World, granted, world

__all__ = ["world"]

FILE = Path(__file__).with_name("rights_of_many.txt")
REFUSED = "refused"
"""The wish as a whole: no job was made, not even one for oneself to look at."""


def wish(declared: Operation, world: World) -> dict[str, Any]:
    """One own guest, one foreign, one that is not there; nobody says how many, so that all doors are tried alike."""
    refs = [dict(zip(("uuid", "host"), world.target("guest", which), strict=True)) for which in WHICH]
    guests = [{"host": int(one["host"]), "uuid": one["uuid"]} for one in refs]
    model = params_of(declared)
    needed = {name for name, field in model.model_fields.items() if field.is_required()} | (
        {"add"} & model.model_fields.keys()
    )
    body: dict[str, Any] = {"guests": guests}
    if model is not NoParams:
        body["params"] = {name: PARAMS[name] for name in needed}
    return body


def children(world: World, status: int) -> tuple[str, ...]:
    """What became of each of the three; all jobs go again."""
    made = {(job.host_id, job.object_key): job for job in Job.objects.filter(parent__isnull=False)}
    parents = Job.objects.filter(parent__isnull=True).count()
    assert (status == 202) == bool(parents), (status, parents)
    Job.objects.all().delete()
    if status != 202:
        assert status in (403, 404) and not made, status
        return (REFUSED,)
    keys = [(int(host), key) for key, host in (world.target("guest", which) for which in WHICH)]
    assert made.keys() <= set(keys)
    return tuple("404" if key not in made else "403" if made[key].error_code == "denied" else "allowed" for key in keys)


def both_ways(client: Client, declared: Operation, world: World) -> str:
    """What pages and API make of it; they must agree."""
    found = []
    verb, guests = declared.name.partition(".")[2], wish(declared, world)
    for path in (f"/operations/many/{declared.name}/", f"/api/v1/guests/operations/{verb}"):
        for number in (2, 1):  # how many of them there are for this person: those that they see
            answer = client.post(path, json.dumps({**guests, "number": number}), "application/json")
            if answer.status_code != 409:
                break
        found.append(children(world, answer.status_code))
    assert found[0] == found[1], f"{declared.name}: the page says {found[0]}, the API {found[1]}"
    return "/".join(found[0])


def console(client: Client, world: World, kind: str, issued: list[tickets.Ticket]) -> str:
    """With which right a ticket is given for each of the three, whether or not only watching was asked for."""
    words = []
    for which in WHICH:
        uuid, host = world.target("guest", which)
        for view_only, most in ((False, "works"), (True, "watches")):
            issued.clear()
            asked = {"host": int(host), "uuid": uuid, "kind": kind, "view_only": view_only}
            answer = client.post("/consoles/ticket/", json.dumps(asked), "application/json")
            assert bool(issued) == (answer.status_code == 200)
            if not issued:
                word = str(answer.status_code)
                assert word in ("403", "404")
            else:
                (ticket,) = issued
                assert (ticket.host, ticket.uuid, ticket.kind) == (int(host), uuid, kind)
                assert answer.json()["view_only"] is ticket.view_only is not ticket.may_write
                assert (ticket.permission == "guest.console") is ticket.may_write
                word = "works" if ticket.may_write else "watches"
            assert word in (most, "watches", "403", "404"), (kind, which, view_only, word)
            if not view_only:
                words.append(word)
            else:
                assert (word == "watches") == (words[-1] in ("works", "watches"))
    return "/".join(words)


def rows(world: World, issued: list[tickets.Ticket]) -> Iterator[str]:
    clients = {(role, where): granted(world, role, where) for role in ROLES for where in WHERE}
    for declared in sorted(many.operations(), key=lambda one: one.name):
        for where in WHERE:
            cells = [f"{role} {both_ways(clients[role, where], declared, world)}" for role in ROLES]
            yield f"{declared.name:<28} {where:<11} {'  '.join(cells)}".rstrip()
    for kind in tickets.PATHS:
        for where in WHERE:
            cells = [f"{role} {console(clients[role, where], world, kind, issued)}" for role in ROLES]
            yield f"{'console ' + kind:<28} {where:<11} {'  '.join(cells)}".replace("console ", "console:").rstrip()


@pytest.mark.timeout(600)
def test_what_many_and_consoles_are_to_whom_is_as_written_down(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    issued: list[tickets.Ticket] = []
    monkeypatch.setattr(tickets, "issue", lambda ticket: issued.append(ticket) or "token")
    head = [f"{'operation':<28} {'granted on':<11} role {'/'.join(WHICH)}"]
    now = "\n".join([*head, *rows(world, issued)]) + "\n"
    if os.environ.get("GOLDEN") == "write":
        FILE.write_text(now, encoding="utf-8")
    assert now.splitlines() == FILE.read_text(encoding="utf-8").splitlines()


def test_among_many_those_that_one_only_sees_have_a_refused_job(world: World) -> None:
    """Seen everywhere, worked with by a tag: the one parent has a job for each that is seen, and does its own only."""
    client = granted(world, "viewer", "everything")
    Grant.objects.create(user=User.objects.get(), role="operator", place="tag", key=world.key("tag"))
    found = {declared.name: both_ways(client, declared, world) for declared in many.operations()}
    assert found == dict.fromkeys(found, "allowed/403/404")


def test_the_written_rights_of_many_keep_their_promises() -> None:
    """Whoever writes the file anew cannot write these away."""
    lines = [line.split() for line in FILE.read_text(encoding="utf-8").splitlines()[1:]]
    consoles = {f"console:{kind}" for kind in tickets.PATHS}
    assert {line[0] for line in lines} == {one.name for one in many.operations()} | consoles
    assert len(lines) == len(WHERE) * len({line[0] for line in lines})
    for name, where, *cells in lines:
        for role, said in zip(cells[::2], cells[1::2], strict=True):
            words = [REFUSED] * 3 if said == REFUSED else said.split("/")
            own, foreign, missing = words
            assert missing in ("404", REFUSED), (name, where, role)
            assert where == "everything" or foreign in ("404", REFUSED), (name, where, role)
            permission = "guest.console" if name in consoles else OPERATIONS[name].permission
            assert (own in ("allowed", "works")) == (permission in ROLES[role]), (name, where, role)
