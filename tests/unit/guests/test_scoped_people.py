"""What people see who were granted something on a tag, a guest or a host only: exactly that, on pages and by the API."""

from __future__ import annotations

import re
import uuid
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from dashboard.accounts.models import Grant, Role, User
from dashboard.inventory.models import Guest, Network, Pool
from tests.unit.guests.conftest import make_guest, make_host


@pytest.fixture
def house(db: None) -> dict[str, Guest]:
    """Two hosts with three guests each, pools and networks."""
    found = {}
    for name in ("alpha", "beta"):
        host = make_host(name, address=f"{name}.example.org")
        Pool.objects.create(host=host, uuid=uuid.uuid4(), name=f"pool-{name}", state="running")
        Network.objects.create(host=host, uuid=uuid.uuid4(), name=f"net-{name}")
        for kind, tags in (("web", ["Web", "shared"]), ("db", ["secret-tag"]), ("plain", [])):
            found[f"{kind}-{name}"] = make_guest(host, f"{kind}-{name}", tags=tags)
    return found


def person(*given: tuple[str, str, str], name: str = "ben") -> Client:
    user = User.objects.create_user(name)
    for role, place, key in given:
        Grant.objects.create(user=user, role=role, place=place, key=key)
    client = Client()
    client.force_login(user)
    return client


def listed(client: Client, query: str = "") -> set[str]:
    return set(re.findall(r"\b(?:web|db|plain)-(?:alpha|beta)\b", client.get(f"/guests/{query}").content.decode()))


def by_api(client: Client) -> set[str]:
    return {row["name"] for row in client.get("/api/v1/guests").json()["items"]}


def test_a_tag_shows_exactly_its_guests(house: dict[str, Guest]) -> None:
    client = person(("operator", "tag", "web"))
    assert listed(client) == by_api(client) == {"web-alpha", "web-beta"}
    assert listed(client, "?q=alpha") == {"web-alpha"}
    assert listed(client, "?q=db") == set()
    assert client.get("/guests/tags.json").json()["tags"] == ["shared", "Web"]


def test_a_guest_and_a_host_and_a_tag_together_show_their_sum(house: dict[str, Guest]) -> None:
    alpha = house["web-alpha"].host_id
    client = person(("viewer", "guest", f"{alpha}/{house['db-alpha'].uuid}"), ("viewer", "tag", "WEB"))
    assert listed(client) == by_api(client) == {"db-alpha", "web-alpha", "web-beta"}
    client = person(("viewer", "host", str(alpha)), name="carl")
    assert listed(client) == by_api(client) == {"db-alpha", "web-alpha", "plain-alpha"}


def test_who_was_granted_nothing_gets_no_page_of_guests(house: dict[str, Guest]) -> None:
    client = person()
    assert client.get("/guests/").status_code == client.get("/api/v1/guests").status_code == 403
    assert client.get("/jobs/").status_code == 200, "one's own jobs are everybody's"


def test_foreign_and_missing_guests_look_alike_on_every_page(house: dict[str, Guest]) -> None:
    client = person(("operator", "tag", "web"))
    parts = (
        "",
        "performance/",
        "console/",
        "serial/",
        "xml/",
        "jobs/",
        "notes/",
        "menu/",
        "dialogs/tags/",
        "history.json",
        "rights/",
    )
    for identity in (house["db-alpha"].uuid, uuid.uuid4()):
        for part in parts:
            assert client.get(f"/guests/{identity}/{part}").status_code == 404, part
        assert client.get(f"/api/v1/guests/{identity}").status_code == 404
        assert client.get(f"/consoles/{identity}/screen/").status_code == 404
        assert client.post(f"/guests/{identity}/notes/", {"text": "mine"}).status_code == 404
    for part in parts:
        assert client.get(f"/guests/{house['web-alpha'].uuid}/{part}").status_code == 200, part


def test_of_a_host_on_which_one_sees_guests_only_one_sees_name_and_state(house: dict[str, Guest]) -> None:
    client, host = person(("operator", "tag", "web")), house["web-alpha"].host
    page = client.get(f"/guests/{house['web-alpha'].uuid}/").content.decode()
    assert "alpha" in page and f"/hosts/{host.pk}/" not in page
    assert "alpha.example.org" not in page + client.get("/guests/").content.decode()
    for path in ("/hosts/", f"/hosts/{host.pk}/", "/storage/", "/networks/", "/api/v1/hosts", f"/api/v1/hosts/{host.pk}", "/api/v1/pools", "/api/v1/networks"):  # fmt: skip
        answer = client.get(path)
        assert answer.status_code in (403, 404), path
        assert b"beta" not in answer.content and b"example.org" not in answer.content


def test_a_host_shows_itself_and_what_is_on_it_and_nothing_of_others(house: dict[str, Guest]) -> None:
    mine, other = house["web-alpha"].host, house["web-beta"].host
    client = person(("operator", "host", str(mine.pk)))
    for path in ("/hosts/", f"/hosts/{mine.pk}/", "/storage/", "/networks/", "/guests/", "/guests/new/", "/api/v1/hosts", "/api/v1/pools", "/api/v1/networks"):  # fmt: skip
        answer = client.get(path)
        assert answer.status_code == 200, path
        assert b"alpha" in answer.content and b"beta" not in answer.content, path
    pool = other.pools.get()
    for path in (
        f"/hosts/{other.pk}/",
        f"/storage/{pool.pk}/",
        f"/guests/new/choices.json?host={other.pk}",
        f"/api/v1/hosts/{other.pk}",
    ):
        assert client.get(path).status_code == 404, path
    assert client.get(f"/guests/new/choices.json?host={mine.pk}").status_code == 200


def test_a_host_without_its_guests_names_none_of_them(house: dict[str, Guest]) -> None:
    Role.objects.create(slug="cellar", name="Cellar", permissions=["host.view", "storage.view"])
    client, host = person(("cellar", "host", str(house["web-alpha"].host_id))), house["web-alpha"].host
    page = client.get(f"/hosts/{host.pk}/").content.decode()
    assert "pool-alpha" in page and "web-alpha" not in page and "net-alpha" not in page


def test_the_menu_and_the_buttons_are_those_of_the_guest(house: dict[str, Guest]) -> None:
    client = person(("operator", "tag", "web"), ("viewer", "tag", "secret-tag"))
    mine, watched = (
        client.get(f"/guests/{house[name].uuid}/menu/").content.decode() for name in ("web-alpha", "db-alpha")
    )
    assert "guest.start" in mine and "guest.start" not in watched
    assert "What may I do here?" in mine and "What may I do here?" in watched
    assert client.get(f"/guests/{house['db-alpha'].uuid}/dialogs/delete/").status_code == 404
    assert client.post(f"/guests/{house['db-alpha'].uuid}/notes/", {"text": "x"}).status_code == 403


def test_a_narrow_right_costs_the_list_no_query_more(house: dict[str, Guest]) -> None:
    def cost(client: Client) -> int:
        client.get("/guests/")
        with CaptureQueriesContext(connection) as queries:
            assert client.get("/guests/").status_code == 200
        return len(queries)

    everything = cost(person(("operator", "everything", ""), name="olga"))
    many: list[Any] = [("operator", "tag", f"t{number}") for number in range(50)]
    assert cost(person(("operator", "tag", "web"), *many)) <= everything
