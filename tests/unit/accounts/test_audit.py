"""The audit log: nobody changes it, it outlives people, and nothing that somebody chose as a name does harm where it is read."""

from __future__ import annotations

import csv
import io
import json
import re
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.core.management import call_command
from django.db import DatabaseError, connection, connections, transaction
from django.test import AsyncClient, Client
from django.utils import translation
from pytest_django import DjangoAssertNumQueries, Settings

from dashboard.accounts import audit
from dashboard.accounts.events import EVENTS
from dashboard.accounts.models import AuditEntry, User
from dashboard.inventory.models import Guest, Host
from dashboard.jobs import audit_export, audit_log
from dashboard.jobs.audit_log import Filters
from dashboard.jobs.models import Job

pytestmark = pytest.mark.django_db

EVIL = 'web1\n2026 root host.remove ok\x1b[2J\u202e<script>alert("x")</script>'


@pytest.fixture(autouse=True)
def bare(settings: Settings) -> None:
    settings.ALLOWED_HOSTS = ["testserver"]
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = {**settings.STORAGES, "staticfiles": plain}


@pytest.fixture
def boss() -> User:
    return User.objects.create_user("boss", role="administrator")


@pytest.fixture
def browser(boss: User) -> Client:
    client = Client()
    client.force_login(boss, backend="allauth.account.auth_backends.AuthenticationBackend")
    return client


def entry(**fields: Any) -> AuditEntry:
    return audit.record(**{"actor": None, "action": "host.add", "phase": "event", "result": "ok", **fields})


# -- nobody changes it


CHANGES = [
    "UPDATE accounts_auditentry SET result = 'ok'",
    "UPDATE accounts_auditentry SET actor_id = NULL",
    "DELETE FROM accounts_auditentry",
]


@pytest.mark.parametrize("statement", CHANGES)
def test_the_database_refuses_to_change_or_remove_an_entry(statement: str) -> None:
    made = entry(result="failed")
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
    made.refresh_from_db()
    assert made.result == "failed"


def test_an_entry_cannot_be_replaced_by_another_of_its_id() -> None:
    made = entry(result="failed")
    columns = [field.column for field in AuditEntry._meta.concrete_fields]
    verb = "INSERT OR REPLACE" if connection.vendor == "sqlite" else "INSERT"
    words = [
        verb,
        "INTO accounts_auditentry",
        f"({', '.join(columns)})",
        "SELECT",
        ", ".join(columns),
        "FROM accounts_auditentry",
    ]
    copy = " ".join(words)
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(copy)
    made.refresh_from_db()
    assert made.result == "failed"


def test_the_table_cannot_be_emptied_in_one_go() -> None:
    entry()
    statement = (
        "TRUNCATE accounts_auditentry" if connection.vendor == "postgresql" else "DELETE FROM accounts_auditentry"
    )
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


def test_no_query_of_djangos_gets_past_that() -> None:
    entry()
    with pytest.raises(DatabaseError), transaction.atomic():
        AuditEntry.objects.update(result="ok")
    with pytest.raises(DatabaseError), transaction.atomic():
        AuditEntry.objects.all().delete()
    assert AuditEntry.objects.count() == 1


def test_a_person_can_be_removed_and_what_they_did_stays(boss: User) -> None:
    audit.record(actor=boss, action="host.add", phase="event", object_name="alpha")
    boss.delete()
    kept = AuditEntry.objects.get(action="host.add")
    assert (kept.actor_name, kept.object_name) == ("boss", "alpha")


@pytest.mark.django_db(transaction=True)
def test_the_protection_can_be_taken_off_only_by_going_back_to_the_version_without_it() -> None:
    entry()
    try:
        call_command("migrate", "accounts", "0002", verbosity=0)
        with connection.cursor() as cursor:
            cursor.execute("UPDATE accounts_auditentry SET result = 'changed'")
    finally:
        call_command("migrate", verbosity=0)
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        AuditEntry.objects.update(result="ok")
    assert AuditEntry.objects.get().result == "changed"


@pytest.mark.django_db(transaction=True)
def test_a_database_of_tests_is_empty_again_after_a_test_that_committed() -> None:
    assert not AuditEntry.objects.exists(), "the test before this one left an entry"


# -- the page


def job_lines(state: str, *, name: str = "web1", host: str = "alpha") -> uuid.UUID:
    """A job's start and end."""
    job = Job.objects.create(operation="guest.start", state=state, object_name=name)
    about = {"action": "guest.start", "object_kind": "guest", "object_name": name, "host_name": host, "job_id": job.pk}
    entry(phase="start", result="", **about)
    entry(phase="end", result=state, **{**about, "detail": {"error": "busy"} if state == "failed" else {}})
    return job.pk


def names(**filters: Any) -> list[str]:
    return [one.object_name for one in audit_log.page(Filters(**filters)).lines]


def test_a_job_is_one_line_with_its_result(browser: Client) -> None:
    pk = job_lines("failed")
    page = browser.get("/audit/", {"action": "guest.start"}).content.decode()
    assert page.count('<tr role="row">') == 2, "the heads and one line"
    assert ">Start<" in page and 'title="guest.start"' in page
    assert "Failed" in page and "busy" in page and f"/jobs/{pk}/" in page


def test_a_job_that_goes_on_says_how_it_stands(browser: Client) -> None:
    job = Job.objects.create(operation="guest.start", state="running")
    entry(action="guest.start", phase="start", result="", job_id=job.pk)
    assert 'data-value="running"' in browser.get("/audit/", {"action": "guest.start"}).content.decode()


def test_what_was_done_is_told_in_the_readers_language(browser: Client, boss: User) -> None:
    entry()
    User.objects.filter(pk=boss.pk).update(language="zh-hans")
    page = browser.get("/audit/", {"action": "host.add"}).content.decode()
    with translation.override("zh-hans"):
        assert f'title="host.add">{EVENTS["host.add"]}<' in page
    with translation.override("en"):
        assert f'title="host.add">{EVENTS["host.add"]}<' not in page


def test_objects_that_are_still_there_are_links_and_others_are_not(browser: Client, boss: User) -> None:
    host = Host.objects.create(name="alpha", transport="test", status="live")
    guest = Guest.objects.create(host=host, uuid=uuid.uuid4(), name="web1", state="shutoff")
    about = {"object_kind": "guest", "object_name": "web1"}
    entry(object_key=str(guest.uuid), host_name="alpha", **about)
    entry(object_key=str(guest.uuid), host_name="gone", **about)
    entry(object_key=str(uuid.uuid4()), host_name="alpha", **about)
    entry(object_kind="host", object_key=str(host.pk), object_name="alpha")
    entry(object_kind="person", object_key=str(boss.pk), object_name="boss")
    page = browser.get("/audit/", {"action": "host.add"}).content.decode()
    assert page.count(f"/guests/{guest.uuid}/?host={host.pk}") == 1
    assert set(re.findall(r'href="(/guests/[^"]+)"', page)) == {f"/guests/{guest.uuid}/?host={host.pk}"}
    assert f'href="/hosts/{host.pk}/"' in page and f'href="/people/{boss.pk}/"' in page


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"person": "olga"}, ["by-olga"]),
        ({"action": "host.remove"}, ["removed"]),
        ({"object": "removed"}, ["removed"]),
        ({"object": "key-7"}, ["keyed"]),
        ({"host": "beta"}, ["on-beta"]),
        ({"result": "denied"}, ["refused"]),
        ({"result": "failed"}, ["broken"]),
        ({"result": "cancelled"}, []),
        ({"q": "OLGA host"}, ["by-olga"]),
        ({"q": "192.0.2.5"}, ["from-there"]),
        ({"q": "start"}, ["broken"]),
        ({"q": "Remove Host"}, ["removed"]),
        ({"q": "nothing-like-this"}, []),
    ],
)  # fmt: skip
def test_each_filter_finds_what_it_names(filters: dict[str, str], found: list[str]) -> None:
    olga = User.objects.create_user("olga")
    entry(actor=olga, object_name="by-olga")
    entry(action="host.remove", object_name="removed")
    entry(object_key="key-7", object_name="keyed")
    entry(host_name="beta", object_name="on-beta")
    entry(phase="denied", result="", object_name="refused")
    entry(source_ip="192.0.2.5", object_name="from-there")
    job_lines("failed", name="broken", host="")
    assert names(**filters) == found


def test_done_means_operations_and_events_that_went_well() -> None:
    job_lines("succeeded", name="started")
    job_lines("failed", name="broken")
    entry(object_name="added")
    entry(phase="denied", result="", object_name="refused")
    assert sorted(names(result="ok")) == ["added", "started"]


def test_a_span_of_time_is_given_in_the_pages_time_zone_and_its_last_minute_counts(
    browser: Client, settings: Settings
) -> None:
    made = entry(object_name="now")
    local = made.at.astimezone()
    minute = made.at.strftime("%Y-%m-%dT%H:%M")
    page = browser.get("/audit/", {"since": minute, "until": minute, "action": "host.add"}).content.decode()
    assert ">now<" in page, local
    later = (made.at + timedelta(minutes=1)).strftime("%Y-%m-%dT%H:%M")
    assert ">now<" not in browser.get("/audit/", {"since": later}).content.decode()


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ({"since": "2026-05-02T00:00", "until": "2026-05-01T00:00"}, "This is before the beginning"),
        ({"since": "yesterday"}, "Enter a valid date/time."),
        ({"action": "no.such"}, "Select a valid choice."),
    ],
)
def test_a_filter_that_cannot_be_used_says_so_and_nothing_is_lost(
    browser: Client, query: dict[str, str], text: str
) -> None:
    page = browser.get("/audit/", {**query, "person": "olga"}).content.decode()
    assert text in page and 'value="olga"' in page


def test_pages_go_on_exactly_where_the_last_one_ended_whatever_is_added_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(audit_log, "PAGE", 3)
    same = datetime(2026, 5, 1, 12, tzinfo=UTC)
    monkeypatch.setattr("django.utils.timezone.now", lambda: same)  # all at one moment: the order is by id then
    for number in range(8):
        entry(object_name=f"n{number}")
    order = [one.object_name for one in AuditEntry.objects.all()]
    first = audit_log.page(Filters())
    assert (first.newer, [one.object_name for one in first.lines]) == ("", order[:3])
    monkeypatch.setattr("django.utils.timezone.now", lambda: same + timedelta(seconds=1))
    entry(object_name="later")
    second = audit_log.page(Filters(), before=first.older)
    third = audit_log.page(Filters(), before=second.older)
    assert [one.object_name for one in (*second.lines, *third.lines)] == order[3:]
    assert third.older == ""
    back = audit_log.page(Filters(), after=third.newer)
    assert list(back.lines) == list(second.lines)
    assert [one.object_name for one in audit_log.page(Filters(), after=second.newer).lines] == order[:3]


@pytest.mark.parametrize(
    "mark", ["x", "2026-05-01_", "2026-05-01T00:00:00_" + "0" * 32, "_" * 40, "2026-13-99T00:00:00+00:00_x"]
)
def test_a_mark_that_is_none_shows_the_newest_lines(browser: Client, mark: str) -> None:
    entry(object_name="alpha")
    assert "alpha" in browser.get("/audit/", {"before": mark}).content.decode()
    assert "alpha" in browser.get("/audit/", {"after": mark}).content.decode()


def test_a_page_asks_the_same_few_questions_however_many_lines_it_shows(
    browser: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(60):
        job_lines("succeeded")
    with django_assert_max_num_queries(16):
        browser.get("/audit/")


def test_only_who_may_read_the_log_gets_it(browser: Client) -> None:
    client = Client()
    client.force_login(
        User.objects.create_user("olga", role="operator"), backend="allauth.account.auth_backends.AuthenticationBackend"
    )
    assert client.get("/audit/").status_code == 403
    assert client.get("/audit/export.csv").status_code == 403
    assert not AuditEntry.objects.filter(action="audit.export").exists()
    assert browser.get("/audit/").status_code == 200


# -- what somebody chose as a name


def test_a_name_cannot_forge_a_line_of_the_page_or_steer_a_terminal(browser: Client) -> None:
    entry(object_name=EVIL, source_ip=EVIL[:64], host_name=EVIL, detail={EVIL: EVIL})
    page = browser.get("/audit/").content.decode()
    assert "<script>alert" not in page and "&lt;script&gt;alert" in page
    assert "\x1b" not in page and "\u202e" not in page and "web1\n2026" not in page
    assert r"web1\n2026 root host.remove ok\x1b[2J\u202e" in page


# -- export


async def exported(person: User, ending: str, query: str = "") -> tuple[Any, str]:
    client = AsyncClient()
    await client.aforce_login(person, backend="allauth.account.auth_backends.AuthenticationBackend")
    answer = await client.get(f"/audit/export.{ending}{query}")
    text = "".join([part.decode() async for part in answer.streaming_content]) if answer.streaming else ""
    return answer, text


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline="")))


@pytest.mark.parametrize("start", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1"])
def test_no_cell_of_a_csv_file_is_a_formula(start: str) -> None:
    told = audit_export.cell(start)
    assert told.startswith("'") and "\t" not in told and "\r" not in told and "\n" not in told


@pytest.mark.django_db(transaction=True)
async def test_an_export_is_all_lines_that_the_filters_leave_and_is_written_down_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(audit_export, "CHUNK", 3)
    boss = await sync_to_async(User.objects.create_user)("boss", role="administrator")

    def fill() -> None:
        for number in range(7):
            entry(object_name=f"n{number}", host_name="beta")
        entry(object_name="elsewhere", host_name="alpha")
        job_lines("failed", name=EVIL, host="beta")

    await sync_to_async(fill)()
    answer, text = await exported(boss, "csv", "?host=beta")
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert answer["Content-Disposition"].startswith('attachment; filename="kvmweb-audit-')
    rows = rows_of(text)
    assert [row["object_name"] for row in rows[1:]] == [f"n{number}" for number in reversed(range(7))]
    assert (rows[0]["action"], rows[0]["result"], rows[0]["detail"]) == ("guest.start", "failed", '{"error": "busy"}')
    assert "\x1b" not in text and "\u202e" not in text and len(text.splitlines()) == 9

    answer, text = await exported(boss, "jsonl", "?host=beta&action=guest.start")
    (told,) = map(json.loads, text.splitlines())
    assert (told["object_name"], told["result"], told["phase"]) == (EVIL, "failed", "start")
    assert text.isascii() and told["ended_at"] >= told["at"]

    written = await sync_to_async(lambda: list(AuditEntry.objects.filter(action="audit.export").order_by("at")))()
    assert [one.detail for one in written] == [
        {"format": "csv", "host": "beta"},
        {"format": "jsonl", "host": "beta", "action": "guest.start"},
    ]
    assert (await exported(boss, "xml"))[0].status_code == 404
    await sync_to_async(connections.close_all)()  # the thread that served us has a connection of its own


# -- a long log


INDEXES = {
    "audit_by_time": {},
    "audit_by_person": {"person": "olga"},
    "audit_by_action": {"action": "host.add"},
    "audit_by_host": {"host": "alpha"},
    "audit_by_object": {"object": "web1"},
    "audit_by_object_name": {"object": "web1"},
    "audit_by_result": {"result": "failed"},
}


@pytest.mark.parametrize(("index", "filters"), INDEXES.items())
def test_each_filter_is_answered_from_an_index(index: str, filters: dict[str, str]) -> None:
    with connection.cursor() as cursor:
        there = connection.introspection.get_constraints(cursor, "accounts_auditentry")
    assert there[index]["index"]
    if connection.vendor == "sqlite":  # PostgreSQL plans by what a table holds, and reads a short one whole
        plan = audit_log.entries(Filters(**filters)).explain()
        assert index in plan, plan
        assert "SCAN accounts_auditentry\n" not in f"{plan}\n"
