"""What a person makes of the list: its search box, columns, kept searches, screens."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import redis
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from dashboard.accounts.models import Grant, Role, User
from dashboard.guests import searches, tastes
from dashboard.guests.models import ListTaste, SavedSearch
from dashboard.inventory import screens
from dashboard.inventory.models import Guest, Host
from dashboard.jobs.models import Ownership
from tests.unit.guests.conftest import make_guest, make_host, make_person
from tests.unit.guests.test_list_page import names, page

ROOT = Path(__file__).resolve().parents[3]


def heads(text: str) -> list[str]:
    """The heads of the columns between the name and the actions."""
    found = re.findall(r'<th scope="col" class="g-([a-z]+)"', text)
    return [one for one in found if one not in ("select", "name", "actions")]


# -- the search box


def test_a_wrong_search_says_what_is_wrong_and_where(browser: Client, guest: Guest) -> None:
    text = page(browser, "?q=web+mem:lots")
    assert "mem: wants a size such as 4G or 512M" in text
    assert "web mem:<mark>lots</mark>" in text
    assert 'data-wrong="yes"' in text and 'aria-invalid="true"' in text
    assert "This search cannot be read" in text
    assert names(text) == []


def test_a_wrong_search_made_of_html_is_only_text(browser: Client, guest: Guest) -> None:
    text = page(browser, "?q=mem:<script>alert(1)</script>")
    assert "<script>alert" not in text


def test_the_older_addresses_become_part_of_the_search(browser: Client, host: Host) -> None:
    make_guest(make_host("beta host"), "b", tags=["web"], state="running")
    pk = Host.objects.get(name="beta host").pk
    text = page(browser, f"?state=running&tag=web&host={pk}&q=b")
    assert 'value="b state:running tag:web host:&quot;beta host&quot;"' in text
    assert names(text) == ["b"]


def test_the_name_of_a_host_that_one_may_not_see_is_not_told(client: Client, host: Host) -> None:
    secret = make_host("secret-host")
    make_guest(secret, "theirs", tags=["hidden"])
    mine = make_guest(host, "mine", tags=["web"])
    person = User.objects.create_user("tom")
    Grant.objects.create(user=person, role="viewer", place="guest", key=f"{host.pk}/{mine.uuid}")
    client.force_login(person)
    assert "secret-host" not in page(client, f"?host={secret.pk}")
    words = client.get("/guests/words.json").json()["keys"]
    known = {one["key"]: one["values"] for one in words}
    assert known["host"] == ["kvm1"]
    assert known["tag"] == ["web"]


def test_owners_are_offered_of_guests_that_one_sees(client: Client, host: Host) -> None:
    ada, bob = User.objects.create_user("ada"), User.objects.create_user("bob")
    mine, theirs = make_guest(host, "mine"), make_guest(host, "theirs")
    Ownership.objects.create(user=ada, host=host, uuid=mine.uuid)
    Ownership.objects.create(user=bob, host=host, uuid=theirs.uuid)
    Grant.objects.create(user=ada, role="viewer", place="guest", key=f"{host.pk}/{mine.uuid}")
    client.force_login(ada)
    words = client.get("/guests/words.json").json()["keys"]
    assert next(one["values"] for one in words if one["key"] == "owner") == ["ada"]


def test_states_are_counted_whatever_state_is_asked_for(browser: Client, host: Host) -> None:
    make_guest(host, "a", state="running")
    make_guest(host, "b", state="paused")
    make_guest(host, "c", state="paused", tags=["old"])
    text = page(browser, "?q=state:running,paused+-tag:old")
    assert names(text) == ["a", "b"]
    assert "1 to 2 of 2" in text
    assert re.search(r'data-state-key="paused".*?data-count>1<', text, re.S)
    assert 'href="?q=-tag%3Aold+state%3Arunning"' in text


WORDS = [
    {"key": "state", "label": "", "values": ["running", "shutoff"], "samples": []},
    {"key": "host", "label": "", "values": ["alpha", "beta host"], "samples": []},
    {"key": "tag", "label": "", "values": ["web", "db", "webby"], "samples": []},
    {"key": "mem", "label": "", "values": [], "samples": [">4G", "<=512M"]},
]


MODULE = (ROOT / "static" / "js" / "search_words.js").as_uri()
SUGGEST = """
import { suggest } from "%s";
const [keys, text, caret] = JSON.parse(process.argv[1]);
const { from, to, options } = suggest(keys, text, caret);
const then = options.length ? text.slice(0, from) + options[0].insert + text.slice(to) : null;
console.log(JSON.stringify([options.map((one) => one.text), then]));
"""


@pytest.mark.parametrize(
    ("typed", "offered", "then"),
    [
        ("st|", ["state:"], "state:"),
        ("web -t|", ["tag:"], "web -tag:"),
        ("al|", ["host:alpha"], "host:alpha "),
        ("state:|", ["running", "shutoff"], "state:running "),
        ("tag:web,d|", ["db"], "tag:web,db "),
        ("tag:e|", ["web", "webby"], "tag:web "),
        ("host:b|", ["beta host"], 'host:"beta host" '),
        ('host:"beta h|', ["beta host"], 'host:"beta host" '),
        ("mem:>|", [">4G", "<=512M"], "mem:>4G "),
        ("state:r| tag:web", ["running"], "state:running  tag:web"),
        ("nothing-like-it|", [], None),
        ("host:zzz|", [], None),
    ],
)
def test_the_box_offers_what_fits_where_the_caret_is(typed: str, offered: list[str], then: str | None) -> None:
    caret = typed.index("|")
    given = json.dumps([WORDS, typed.replace("|", ""), caret])
    node = subprocess.run(
        ["node", "--input-type=module", "-e", SUGGEST % MODULE, given], capture_output=True, text=True, check=True
    )
    assert json.loads(node.stdout) == [offered, then]


# -- columns


def test_everybody_begins_with_the_usual_columns(browser: Client, guest: Guest) -> None:
    assert heads(page(browser)) == ["state", "host", "cpu", "memory", "disk", "network", "addresses", "uptime"]


def test_columns_are_remembered_for_each_person_in_their_order(
    browser: Client, watcher: Client, operator: User, guest: Guest
) -> None:
    Ownership.objects.create(user=operator, host=guest.host, uuid=guest.uuid)
    chosen = ["owner", "vcpus", "memory", "tags", "title", "os", "autostart", "state", "nonsense", "state"]
    answer = browser.post("/guests/taste/", {"columns": chosen, "next": "/guests/?q=web"})
    assert answer["Location"] == "/guests/?q=web"
    text = page(browser)
    assert heads(text) == ["owner", "vcpus", "size", "labels", "caption", "os", "autostart", "state"]
    assert '<span class="truncate">operator</span>' in text
    assert len(heads(page(watcher))) == 8 and heads(page(watcher))[0] == "state"
    browser.post("/guests/taste/", {"reset": "1", "columns": ["os"]})
    assert heads(page(browser)) == heads(page(watcher))


def test_every_column_has_a_cell_in_every_row_and_in_the_row_of_new_guests(browser: Client, guest: Guest) -> None:
    browser.post("/guests/taste/", {"columns": list(tastes.COLUMNS)})
    text = page(browser)
    rows = re.findall(r"<tr data-row.*?</tr>", text, re.S)
    assert len(rows) == 2
    for row in rows:
        assert len(re.findall(r'<td class="g-(?!select|actions)', row)) == len(tastes.COLUMNS)


@pytest.mark.parametrize("back", ["https://evil.example/", "//evil.example", "/accounts/logout/", "", "/guests/\\evil"])
def test_taste_leads_nowhere_else(browser: Client, guest: Guest, back: str) -> None:
    answer = browser.post("/guests/taste/", {"columns": ["state"], "next": back})
    assert answer["Location"].startswith("/guests/")


def test_a_taste_changes_by_a_post_only(browser: Client, guest: Guest) -> None:
    assert browser.get("/guests/taste/?view=screens").status_code == 405
    page(browser, "?view=screens")
    assert not ListTaste.objects.exists()


# -- kept searches


def test_a_search_is_kept_found_changed_and_forgotten(browser: Client, guest: Guest) -> None:
    assert "Keep this search" in page(browser, "?q=web")
    answer = browser.post("/guests/searches/new/?q=web", {"name": "Webs", "query": "web state:off"})
    kept = SavedSearch.objects.get()
    assert answer["Location"] == f"/guests/searches/{kept.pk}/"
    assert browser.get(answer["Location"])["Location"] == "/guests/?q=web+state%3Aoff"
    text = page(browser, "?q=web+state:off")
    assert ">Webs<" in text and "Keep this search" not in text
    browser.post(f"/guests/searches/{kept.pk}/edit/", {"name": "Other", "query": "db"})
    assert "Other" in browser.get("/guests/searches/").content.decode()
    browser.post(f"/guests/searches/{kept.pk}/delete/")
    assert not SavedSearch.objects.exists()


def test_who_takes_anothers_search_off_the_list_of_all_is_led_to_what_is_left(
    browser: Client, settings: Any, guest: Guest
) -> None:
    browser.post("/guests/searches/new/", {"name": "For all", "query": "web", "shared": "on"})
    kept = SavedSearch.objects.get()
    boss = Client(HTTP_HOST="127.0.0.1")
    boss.force_login(
        User.objects.create_user("boss", role="administrator"), backend=settings.AUTHENTICATION_BACKENDS[0]
    )
    answer = boss.post(f"/guests/searches/{kept.pk}/edit/", {"name": "For all", "query": "web"}, follow=True)
    assert answer.status_code == 200 and not SavedSearch.objects.get().shared


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"name": "x", "query": "mem:lots"}, "4G or 512M"),
        ({"name": "", "query": "web"}, "required"),
        ({"name": "Taken", "query": "web"}, "choose another"),
        ({"name": "x", "query": ""}, "required"),
    ],
)
def test_a_search_that_cannot_be_kept_is_explained_and_not_lost(
    browser: Client, operator: User, fields: dict[str, str], said: str
) -> None:
    SavedSearch.objects.create(owner=operator, name="Taken", query="db")
    answer = browser.post("/guests/searches/new/", fields)
    assert answer.status_code == 422
    text = answer.content.decode()
    assert said in text
    assert not fields["query"] or f'value="{fields["query"]}"' in text
    assert SavedSearch.objects.count() == 1


def test_what_somebody_shares_everybody_sees_and_only_they_change(
    browser: Client, watcher: Client, guest: Guest
) -> None:
    browser.post("/guests/searches/new/", {"name": "For all", "query": "web", "shared": "on"})
    browser.post("/guests/searches/new/", {"name": "For me", "query": "db"})
    shared, own = SavedSearch.objects.get(name="For all"), SavedSearch.objects.get(name="For me")
    text = page(watcher)
    assert "For all" in text and "For me" not in text
    assert watcher.get(f"/guests/searches/{shared.pk}/").status_code == 302
    for path in (
        f"/guests/searches/{shared.pk}/edit/",
        f"/guests/searches/{own.pk}/edit/",
        f"/guests/searches/{own.pk}/",
    ):
        assert watcher.get(path).status_code == 404
    assert watcher.post(f"/guests/searches/{shared.pk}/delete/").status_code == 404
    assert SavedSearch.objects.count() == 2


def test_who_may_change_nothing_shares_nothing(watcher: Client, db: None) -> None:
    watcher.post("/guests/searches/new/", {"name": "Mine", "query": "web", "shared": "on"})
    assert not SavedSearch.objects.get().shared


def test_an_administrator_tidies_up_what_is_shared(client: Client, operator: User) -> None:
    kept = SavedSearch.objects.create(owner=operator, name="Old", query="web", shared=True)
    private = SavedSearch.objects.create(owner=operator, name="Private", query="web")
    client.force_login(make_person("administrator"))
    assert client.post(f"/guests/searches/{private.pk}/delete/").status_code == 404
    assert client.post(f"/guests/searches/{kept.pk}/delete/").status_code == 302


def test_nobody_keeps_searches_without_end(browser: Client, operator: User) -> None:
    SavedSearch.objects.bulk_create(
        [SavedSearch(owner=operator, name=f"s{number}", query="web") for number in range(searches.MOST)]
    )
    answer = browser.post("/guests/searches/new/", {"name": "one more", "query": "web"})
    assert "delete one" in answer.content.decode()


# -- screens


def test_screens_are_a_view_that_is_remembered(browser: Client, host: Host) -> None:
    make_guest(host, "web1", state="running")
    assert "data-shots" not in page(browser)
    assert "data-shots" in page(browser, "?view=screens")
    browser.post("/guests/taste/", {"view": "screens", "next": "/guests/"})
    text = page(browser)
    assert 'class="g-card"' in text and "<table" not in text
    assert "data-shots" not in page(browser, "?view=table")
    browser.post("/guests/taste/", {"view": "table", "next": "/guests/"})
    assert "data-shots" not in page(browser)


def ask(browser: Client, *guests: Guest) -> Any:
    return browser.get("/guests/shots.json", {"want": ",".join(f"{one.host_id}/{one.uuid}" for one in guests)})


@pytest.mark.parametrize("want", ["", "x", "1/x", "²/abc", "1/" * 500, "-1/00000000-0000-0000-0000-000000000000"])
def test_odd_questions_for_pictures_get_none(browser: Client, db: None, want: str) -> None:
    assert browser.get("/guests/shots.json", {"want": want}).json() == {"shots": {}}


def test_pictures_are_asked_for_and_served_to_those_who_may_watch(
    browser: Client, client: Client, host: Host, redis_client: redis.Redis
) -> None:
    shown, hidden = make_guest(host, "shown", state="running"), make_guest(host, "hidden", state="running")
    off = make_guest(host, "off")
    assert ask(browser, shown, off).json() == {"shots": {}}
    assert screens.wanted([host.pk]) == {host.pk: [str(shown.uuid)]}
    screens.keep(host.pk, str(shown.uuid), b"RIFF-one")
    [mark] = ask(browser, shown).json()["shots"].values()
    answer = browser.get(f"/guests/{shown.uuid}/shot.webp?host={host.pk}&v={mark}")
    assert (answer.content, answer["Content-Type"], answer["ETag"]) == (b"RIFF-one", "image/webp", f'"{mark}"')
    assert "private" in answer["Cache-Control"]
    again = browser.get(f"/guests/{shown.uuid}/shot.webp", headers={"If-None-Match": answer["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    screens.keep(host.pk, str(shown.uuid), b"RIFF-two")
    assert list(ask(browser, shown).json()["shots"].values()) != [mark]

    person = User.objects.create_user("tom")
    Grant.objects.create(user=person, role="viewer", place="guest", key=f"{host.pk}/{hidden.uuid}")
    client.force_login(person)
    assert ask(client, shown).json() == {"shots": {}}
    assert client.get(f"/guests/{shown.uuid}/shot.webp").status_code == 404
    assert client.get(f"/guests/{hidden.uuid}/shot.webp").status_code == 404, "there is none yet"


def test_who_may_see_a_guest_but_not_watch_it_gets_no_picture(
    client: Client, host: Host, redis_client: redis.Redis
) -> None:
    Role.objects.create(slug="looks", name="Looks", permissions=["guest.view"])
    Role.objects.create(slug="watches", name="Watches", permissions=["guest.view", "guest.watch"])
    seen, watched = make_guest(host, "seen", state="running"), make_guest(host, "watched", state="running")
    person = User.objects.create_user("tom")
    for role, guest in (("looks", seen), ("watches", watched)):
        Grant.objects.create(user=person, role=role, place="guest", key=f"{host.pk}/{guest.uuid}")
        screens.keep(host.pk, str(guest.uuid), b"RIFF")
    client.force_login(person)
    assert list(ask(client, seen, watched).json()["shots"]) == [f"{host.pk}/{watched.uuid}"]
    assert client.get(f"/guests/{seen.uuid}/shot.webp").status_code == 404
    assert client.get(f"/guests/{watched.uuid}/shot.webp").status_code == 200


def test_without_redis_there_are_no_pictures_and_no_errors(browser: Client, host: Host) -> None:
    guest = make_guest(host, "web1", state="running")
    assert ask(browser, guest).json() == {"shots": {}}
    assert browser.get(f"/guests/{guest.uuid}/shot.webp").status_code == 404


def test_fifty_pictures_are_asked_for_by_a_few_queries(browser: Client, host: Host, redis_client: redis.Redis) -> None:
    guests = [make_guest(host, f"vm{number}", state="running") for number in range(50)]
    with CaptureQueriesContext(connection) as queries:
        ask(browser, *guests)
    assert len(queries) <= 5
    assert len(screens.wanted([host.pk])[host.pk]) == 50
