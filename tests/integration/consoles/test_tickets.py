"""The view that issues tickets: to whom, for what, and what it tells nobody."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.test import Client

from dashboard.consoles.refusals import Refused
from dashboard.consoles.tickets import redeem
from dashboard.inventory.models import Guest, Host
from tests.integration.consoles.conftest import House, Session


@pytest.fixture(autouse=True)
def plain_static_files(settings: Any) -> None:
    """Pages without a collected manifest."""
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = {**settings.STORAGES, "staticfiles": plain}


@pytest.fixture
def guest(house: House) -> Guest:
    """A guest of the mirror; nothing runs."""
    host = Host.objects.create(name=f"paper-{Host.objects.count()}", transport="test", status="live")
    return Guest.objects.create(host=host, uuid="00000000-0000-4000-8000-000000000042", name="paper", state="running")


def ask(session: Session | None, guest: Guest, **changes: Any) -> Any:
    """POST as the page does."""
    client = Client(SERVER_NAME="127.0.0.1", raise_request_exception=True)
    if session is not None:
        client.cookies[django_settings.SESSION_COOKIE_NAME] = session.key
    wish = {"host": guest.host_id, "uuid": str(guest.uuid), "kind": "vnc", "view_only": False}
    return client.post(
        "/consoles/ticket/",
        json.dumps(wish | changes),
        content_type="application/json",
        headers={"accept": "application/json"},
    )


def test_an_operator_gets_a_ticket_to_work(house: House, guest: Guest) -> None:
    answer = ask(house.session, guest)
    assert answer.status_code == 200
    assert answer["Cache-Control"] == "no-store"
    assert answer.json()["path"] == "/console/vnc"
    ticket = redeem(answer.json()["ticket"], session_key=house.session.key, kind="vnc")
    assert (ticket.user, ticket.host, ticket.uuid) == (house.user.pk, guest.host_id, str(guest.uuid))
    assert (ticket.permission, ticket.view_only) == ("guest.console", False)


def test_a_viewer_gets_one_to_watch_whatever_is_asked_for(house: House, guest: Guest) -> None:
    session = house.person("viewer")
    answer = ask(session, guest, kind="serial")
    assert answer.json()["view_only"] is True
    ticket = redeem(answer.json()["ticket"], session_key=session.key, kind="serial")
    assert (ticket.permission, ticket.view_only) == ("guest.watch", True)


def test_an_operator_may_ask_to_watch_only(house: House, guest: Guest) -> None:
    answer = ask(house.session, guest, view_only=True)
    assert redeem(answer.json()["ticket"], session_key=house.session.key, kind="vnc").view_only is True


def test_a_ticket_is_redeemed_once(house: House, guest: Guest) -> None:
    token = ask(house.session, guest).json()["ticket"]
    redeem(token, session_key=house.session.key, kind="vnc")
    with pytest.raises(Refused):
        redeem(token, session_key=house.session.key, kind="vnc")


def test_the_wrong_session_spends_a_ticket(house: House, guest: Guest) -> None:
    token = ask(house.session, guest).json()["ticket"]
    for session in (house.person("operator"), house.session):
        with pytest.raises(Refused):
            redeem(token, session_key=session.key, kind="vnc")


def test_strangers_get_none(house: House, guest: Guest) -> None:
    assert ask(None, guest).status_code == 401


def test_a_guest_that_does_not_exist_and_one_of_another_host_look_alike(house: House, guest: Guest) -> None:
    assert ask(house.session, guest, uuid="00000000-0000-4000-8000-00000000dead").status_code == 404
    assert ask(house.session, guest, host=guest.host_id + 1000).status_code == 404


@pytest.mark.parametrize(
    "changes", [{"kind": "spice"}, {"uuid": "x"}, {"host": "../1"}, {"host": -1}, {"kind": ["vnc"]}, {"uuid": None}]
)
def test_a_wish_that_makes_no_sense_is_refused(house: House, guest: Guest, changes: dict[str, Any]) -> None:
    assert ask(house.session, guest, **changes).status_code == 400


def test_pop_out_windows_are_pages_with_their_own_policy(house: House, guest: Guest) -> None:
    client = Client(SERVER_NAME="127.0.0.1")
    client.cookies[django_settings.SESSION_COOKIE_NAME] = house.session.key
    screen, serial = (client.get(f"/consoles/{guest.uuid}/{kind}/") for kind in ("screen", "serial"))
    assert screen.status_code == serial.status_code == 200
    assert "unsafe-inline" not in screen["Content-Security-Policy"]
    policy = dict(part.strip().split(" ", 1) for part in serial["Content-Security-Policy"].split(";") if " " in part)
    assert policy["style-src-elem"] == "'self' 'unsafe-inline'"
    assert "unsafe-inline" not in policy["script-src"] + policy["style-src"]
    assert client.get("/consoles/00000000-0000-4000-8000-00000000dead/screen/").status_code == 404


def test_a_pop_out_window_shows_the_guest_of_the_host_that_was_asked_for(house: House, guest: Guest) -> None:
    client = Client(SERVER_NAME="127.0.0.1")
    client.cookies[django_settings.SESSION_COOKIE_NAME] = house.session.key
    host = Host.objects.create(name="twin", transport="test", status="live")
    Guest.objects.create(host=host, uuid=guest.uuid, name="twin-of-it", state="shutoff")
    for kind in ("screen", "serial"):
        page = client.get(f"/consoles/{guest.uuid}/{kind}/?host={host.pk}").content.decode()
        assert f'data-host="{host.pk}"' in page
        assert f"/{kind}/?host={host.pk}" in page
