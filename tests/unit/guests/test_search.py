"""The query language: one table of cases, answered by the database and by the page's script, and its errors."""

from __future__ import annotations

import json
import subprocess
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st

from dashboard.accounts.models import User
from dashboard.guests import search
from dashboard.guests.search_fields import FIELDS
from dashboard.inventory.models import Guest, Host
from dashboard.inventory.rows import guest_row
from dashboard.jobs.models import Job, Ownership
from tests.unit.guests.conftest import make_guest, make_host, make_person

ROOT = Path(__file__).resolve().parents[3]
TABLE = json.loads((Path(__file__).parent / "search_cases.json").read_text(encoding="utf-8"))
KIB = {"M": 1024, "G": 1024**2}
IN_SCRIPT = """
import { fits } from "%s";
const { trees, rows, now } = JSON.parse(await new Promise((done) => {
  let text = ""; process.stdin.on("data", (part) => (text += part)).on("end", () => done(text)); }));
console.log(JSON.stringify(trees.map((tree) => rows.map((row) => fits(tree, row, now)))));
"""


@pytest.fixture
def person(db: None) -> User:
    return make_person("operator")


@pytest.fixture
def guests(person: User) -> list[Guest]:
    """The guests of the table, with owners and jobs."""
    hosts = {name: make_host(name) for name in ("alpha", "beta host")}
    hosts["gone"] = make_host("gone", status=Host.Status.DOWN)
    people = {"ada": person, "bob": User.objects.create_user("Bob", role="viewer")}
    made = [_make(one, hosts[one["host"]]) for one in TABLE["guests"]]
    for one, guest in zip(TABLE["guests"], made, strict=True):
        if "owner" in one:
            Ownership.objects.create(user=people[one["owner"]], host=guest.host, uuid=guest.uuid)
    _job(made[0], Job.State.FAILED)
    _job(made[1], Job.State.RUNNING)
    old = _job(made[2], Job.State.FAILED)
    Job.objects.filter(pk=old.pk).update(created_at=timezone.now() - timedelta(days=2))
    return made


def _make(one: dict[str, Any], host: Host) -> Guest:
    facts: dict[str, Any] = {"agent_connected": one.get("agent", False)}
    facts |= {"graphics": [{"kind": kind} for kind in one["graphics"]]} if "graphics" in one else {}
    facts |= {"os": one["os"]} if "os" in one else {}
    return make_guest(
        host, one["name"], title=one.get("title", ""), state=one["state"], saved=one.get("saved", False),
        tags=one.get("tags", []), vcpus=one["vcpus"], memory_kib=int(one["memory"][:-1]) * KIB[one["memory"][-1]],
        started_at=timezone.now() - timedelta(hours=one["hours"]) if "hours" in one else None,
        addresses=[{"ip": ip, "prefix": 24, "mac": "52:54:00:00:00:01", "source": "agent"} for ip in one.get("ips", [])],
        autostart=one.get("autostart", False), facts=facts, uuid=uuid.UUID(one["uuid"]) if "uuid" in one else uuid.uuid4(),
    )  # fmt: skip


def _job(guest: Guest, state: str) -> Job:
    return Job.objects.create(
        operation="guest.start", host=guest.host, object_kind="guest", object_key=str(guest.uuid), state=state
    )


def test_the_database_answers_the_table(guests: list[Guest], person: User) -> None:
    names = [guest.name for guest in guests]
    wrong = {}
    for case in TABLE["cases"]:
        query = search.parse(case["q"])
        found = sorted(Guest.objects.filter(query.q(person)).values_list("name", flat=True), key=names.index)
        if found != case["fit"]:
            wrong[case["q"]] = found
    assert not wrong


def test_the_pages_script_answers_the_table_and_says_what_it_cannot_know(guests: list[Guest]) -> None:
    queries = [search.parse(case["q"]) for case in TABLE["cases"]]
    given = {
        "trees": [query.tree for query in queries],
        "rows": [guest_row(guest) for guest in guests],
        "now": timezone.now().timestamp() * 1000,
    }
    script = IN_SCRIPT % (ROOT / "static" / "js" / "search_match.js").as_uri()
    node = subprocess.run(
        ["node", "--input-type=module", "-e", script],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        check=True,
    )
    for case, answers in zip(TABLE["cases"], json.loads(node.stdout), strict=True):
        for guest, answer in zip(guests, answers, strict=True):
            if answer is None:
                assert case.get("server"), f"{case['q']}: {guest.name} should be known in the page"
            else:
                assert answer == (guest.name in case["fit"]), f"{case['q']}: {guest.name}"
        assert not case.get("server") or None in answers or not case["fit"], case["q"]


@pytest.mark.parametrize("case", TABLE["wrong"], ids=lambda case: case["q"])
def test_a_wrong_search_says_where_and_what_is_allowed(case: dict[str, Any]) -> None:
    with pytest.raises(search.SearchError) as found:
        search.parse(case["q"])
    assert case["says"] in found.value.message
    assert [found.value.start, found.value.end] == case["at"]


def test_a_search_is_bounded() -> None:
    with pytest.raises(search.SearchError, match="500 characters"):
        search.parse("x" * 501)
    with pytest.raises(search.SearchError, match="40 values"):
        search.parse("tag:" + ",".join(f"t{number}" for number in range(41)))
    with pytest.raises(search.SearchError, match="character"):
        search.parse("a\0b")


@pytest.mark.parametrize(
    ("text", "key", "value", "said"),
    [
        ("", "state", "running", "state:running"),
        ("web  state:off,saved mem:>4G", "state", "running", "web mem:>4G state:running"),
        ("web state:off", "state", "", "web"),
        ("-tag:old tag:web", "tag", "db", "tag:db"),
        ("web", "host", "beta host", 'web host:"beta host"'),
        ("", "name", 'a"b\\c', r'name:"a\"b\\c"'),
        ("", "name", "db*", 'name:"db*"'),
    ],
)
def test_a_condition_is_put_in_place_of_what_was_said_of_its_key(text: str, key: str, value: str, said: str) -> None:
    changed = search.parse(text).saying(key, value)
    assert changed == said
    if value:
        assert search.parse(changed).only(key) == value


@pytest.mark.parametrize("text", ["state:running,paused", "-state:running", "state:running state:paused", "web", ""])
def test_a_key_that_says_more_than_one_value_has_no_single_one(text: str) -> None:
    assert search.parse(text).only("state") == ""


def test_no_key_looks_like_the_beginning_of_an_address() -> None:
    assert not [key for key in FIELDS if set(key) <= set("abcdef")]
    for address in ("fd::1", "de:ad:be:ef:00:01", "::1", "2001:db8::1"):
        assert [term.key for term in search.parse(address).terms] == [""]


def test_a_job_that_one_may_not_see_is_not_found_by_it(guests: list[Guest]) -> None:
    stranger = User.objects.create_user("eve", role="viewer")
    assert not Guest.objects.filter(search.parse("job:failed").q(stranger)).exists()


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=60) | st.text(alphabet='staenmip:>=<,."*-\\ 4Gd', max_size=40))
def test_whatever_is_typed_is_understood_or_explained(text: str) -> None:
    try:
        query = search.parse(text)
    except search.SearchError as error:
        assert error.message
        assert 0 <= error.start <= error.end <= max(len(text), 1)
    else:
        assert [text[term.start : term.end] for term in query.terms] == [
            text[term.start : term.end] for term in search.parse(query.without("nothing").text).terms
        ] or query.terms
        json.dumps(query.tree)


@pytest.mark.django_db
@settings(max_examples=60, deadline=None)
@given(st.text(alphabet="web1tagnmip:,.\"*-\\%_';()ü 4G>", max_size=40))
def test_whatever_is_understood_the_database_can_answer(text: str) -> None:
    try:
        query = search.parse(text)
    except search.SearchError:
        return
    list(Guest.objects.filter(query.q(User(pk=1)))[:1])


def test_a_search_is_one_query_however_much_it_asks(guests: list[Guest], person: User) -> None:
    query = search.parse("web,db -tag:old owner:me job:failed display:vnc uptime:>1h mem:1G..64G os:debian")
    Guest.objects.filter(search.parse("job:active").q(person)).count()  # the person's rights are known now
    with CaptureQueriesContext(connection) as asked:
        assert [guest.name for guest in Guest.objects.filter(query.q(person))] == ["web1"]
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("text", "passes"),
    [
        ("ip:" + ",".join(f"192.0.2.{number}" for number in range(40)), 1),
        (",".join(f"192.0.2.{number}" for number in range(40)), 1),
        ("owner:" + ",".join(f"a*{number}" for number in range(40)), 1),
        ("job:" + ",".join(["failed", "active"] * 20), 2),
        ("display:" + ",".join(["vnc"] * 40), 0),
        (" ".join(["job:failed"] * 12), 1),
    ],
)
def test_forty_values_are_looked_for_in_one_pass(person: User, text: str, passes: int) -> None:
    """What is in lists of its own is dear to look through for each of ten thousand guests."""
    sql = str(Guest.objects.filter(search.parse(text).q(person)).query)
    assert sql.count("EXISTS") == passes
    assert sql.count("ORDINALITY" if connection.vendor == "postgresql" else "graphics") <= 1


def test_several_addresses_and_owners_are_alternatives(guests: list[Guest], person: User) -> None:
    def found(text: str) -> set[str]:
        return set(Guest.objects.filter(search.parse(text).q(person)).values_list("name", flat=True))

    every = {word: found(word) for word in ("ip:192.0.2.*", "ip:2001:*", "owner:ada", "owner:bob", "192.0.2", "db")}
    assert found("ip:192.0.2.*,2001:*") == every["ip:192.0.2.*"] | every["ip:2001:*"]
    assert found("owner:ada,bob") == every["owner:ada"] | every["owner:bob"] != set()
    assert found("192.0.2,db") == every["192.0.2"] | every["db"]
    assert found("-owner:ada,bob") == found("") - every["owner:ada"] - every["owner:bob"]
