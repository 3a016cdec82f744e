"""A guest's serial line through the real process: the tiny Linux answers, several watch, one writes."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection

from dashboard.accounts.people import set_role
from dashboard.inventory.models import Guest
from tests.integration.consoles.conftest import House, Session
from tests.lab.guests import LabGuest
from tests.lab.hosts import LabHost


class Terminal:
    """What a browser knows of a line: all that was said, and the last word on who writes."""

    def __init__(self, ws: ClientConnection) -> None:
        self.ws = ws
        self.text = ""
        self.picture: dict[str, Any] = {}
        self.replays = 0
        self.end: tuple[int, str] | None = None

    def until(self, true: Any, seconds: float = 20, what: str = "") -> None:
        """Read until it is true."""
        stop = time.monotonic() + seconds
        while not true(self):
            try:
                data = self.ws.recv(timeout=max(0.01, stop - time.monotonic()))
            except TimeoutError:
                raise AssertionError(f"still not: {what}\n{self.picture}\n{self.text[-800:]}") from None
            except ConnectionClosed as closed:
                assert closed.rcvd is not None
                self.end = (closed.rcvd.code, closed.rcvd.reason)
                assert true(self), f"closed with {self.end}"
                return
            if isinstance(data, bytes):
                self.text += data.decode(errors="replace")
            elif "replay" in (message := json.loads(data)):
                self.replays += 1
                self.text = ""
            else:
                self.picture = message

    def says(self, words: str, seconds: float = 20) -> None:
        self.until(lambda terminal: words in terminal.text, seconds, f"says {words!r}")

    def shows(self, seconds: float = 20, **picture: Any) -> None:
        self.until(lambda terminal: picture.items() <= terminal.picture.items(), seconds, f"shows {picture}")

    def type(self, text: str) -> None:
        self.ws.send(text.encode())

    def wish(self, **wish: bool) -> None:
        self.ws.send(json.dumps(wish))


@pytest.fixture(scope="module")
def line(serial: House, lab_host: LabHost, tiny_guest: LabGuest) -> tuple[LabGuest, Guest]:
    """The running tiny Linux, as it is and as it is mirrored."""
    return tiny_guest, serial.guest(tiny_guest, serial.host(lab_host))


@pytest.fixture
def terminal(serial: House, line: tuple[LabGuest, Guest]) -> Iterator[Terminal]:
    """An operator at the line, who writes."""
    with serial.open(line[1], "serial") as ws:
        made = Terminal(ws)
        made.shows(status="connected", you=True)
        yield made


def test_the_shell_of_the_guest_answers(terminal: Terminal) -> None:
    terminal.type("\necho $((6*7))-answer\n")
    terminal.says("42-answer")


def test_a_newcomer_sees_what_was_said_before_and_that_somebody_writes(
    serial: House, line: tuple[LabGuest, Guest], terminal: Terminal
) -> None:
    terminal.type("echo before-$((1+1))\n")
    terminal.says("before-2")
    with serial.open(line[1], "serial", serial.person("operator")) as ws:
        other = Terminal(ws)
        other.shows(you=False, writer=serial.user.username, may_write=True, watchers=2)
        other.says("before-2")
        terminal.shows(you=True, watchers=2)
    terminal.shows(watchers=1)


def test_one_writes_until_another_takes_over(serial: House, line: tuple[LabGuest, Guest], terminal: Terminal) -> None:
    session = serial.person("operator")
    with serial.open(line[1], "serial", session) as ws:
        other = Terminal(ws)
        other.shows(you=False)
        other.type("echo other-$((1+1))\n")
        terminal.type("echo mine-$((1+1))\n")
        other.says("mine-2")
        assert "other-2" not in other.text
        other.wish(take=True)
        terminal.shows(you=False, writer=session.user.username)
        other.shows(you=True)
        other.type("echo other-$((2+1))\n")
        terminal.type("echo mine-$((2+1))\n")
        terminal.says("other-3")
        assert "mine-3" not in terminal.text
    terminal.shows(writer=None)
    terminal.wish(take=True)
    terminal.shows(you=True)


@pytest.mark.parametrize("view_only", [True, False])
def test_a_viewer_watches_and_cannot_take_over(
    serial: House, line: tuple[LabGuest, Guest], terminal: Terminal, view_only: bool
) -> None:
    """Also with a ticket that does not say so: the permission by which one was let in decides as well."""
    with serial.open(line[1], "serial", serial.person("viewer"), view_only=view_only, permission="guest.watch") as ws:
        viewer = Terminal(ws)
        viewer.shows(may_write=False, you=False)
        viewer.wish(take=True)
        viewer.wish(force=True)
        viewer.type("echo viewer-$((1+1))\n")
        terminal.type("echo still-$((1+1))\n")
        viewer.says("still-2")
        assert "viewer-2" not in viewer.text
        assert viewer.picture["writer"] == serial.user.username


def test_output_by_the_megabyte_reaches_everybody_and_stops_nobody(
    serial: House, line: tuple[LabGuest, Guest], terminal: Terminal
) -> None:
    with serial.open(line[1], "serial", serial.person("operator")) as slow, serial.open(line[1], "serial") as ws:
        fast = Terminal(ws)
        terminal.type("seq 1 6000; echo flood-$((1+1))\n")
        fast.says("flood-2", 60)
        terminal.says("flood-2", 60)
        Terminal(slow).says("flood-2", 60)


def test_the_line_comes_back_when_the_guest_was_stopped_and_started(
    serial: House, line: tuple[LabGuest, Guest], terminal: Terminal
) -> None:
    lab_guest = line[0]
    terminal.type("echo old-$((1+1))\n")
    terminal.says("old-2")
    lab_guest.virsh("destroy")
    terminal.shows(status="off")
    lab_guest.virsh("start")
    terminal.wish(retry=True)
    terminal.shows(status="connected", you=True)
    terminal.says("TINY READY", 120)
    terminal.type("\necho new-$((1+1))\n")
    terminal.says("new-2", 30)
    assert "old-2" in terminal.text, "the scrollback outlives the guest's restart"


def test_a_line_that_another_program_has_can_be_taken_away_from_it(
    serial: House, lab_host: LabHost, line: tuple[LabGuest, Guest]
) -> None:
    from dashboard.virt.connection import open_connection
    from dashboard.virt.streams import open_console

    serial.kill("serial")
    serial.start("serial")
    connection = open_connection(lab_host.spec())
    stream = open_console(connection, line[0].uuid, force=True)
    try:
        with serial.open(line[1], "serial") as ws:
            mine = Terminal(ws)
            mine.shows(status="taken")
            mine.wish(force=True)
            mine.shows(status="connected")
            mine.type("\necho taken-$((1+1))\n")
            mine.says("taken-2")
    finally:
        stream.close()
        connection.close()


def test_a_killed_process_loses_nobody_for_long(serial: House, line: tuple[LabGuest, Guest]) -> None:
    with serial.open(line[1], "serial") as ws:
        Terminal(ws).shows(status="connected")
        serial.kill("serial")
        with pytest.raises(ConnectionClosed):
            while True:
                ws.recv(timeout=10)
    serial.start("serial")
    with serial.open(line[1], "serial") as ws:
        Terminal(ws).shows(status="connected")


def logged_out(session: Session) -> None:
    session.store.delete()


def disabled(session: Session) -> None:
    session.user.is_active = False
    session.user.save()


def demoted(session: Session) -> None:
    set_role(session.user, "viewer")


@pytest.mark.parametrize(
    ("event", "end"), [(logged_out, (4401, "session")), (disabled, (4401, "session")), (demoted, (4403, "rights"))]
)
def test_an_open_line_ends_within_five_seconds_for_that_person_only(
    serial: House, line: tuple[LabGuest, Guest], terminal: Terminal, event: Any, end: tuple[int, str]
) -> None:
    session = serial.person("operator")
    with serial.open(line[1], "serial", session) as ws:
        other = Terminal(ws)
        other.shows(status="connected")
        begun = time.monotonic()
        event(session)
        other.until(lambda it: it.end is not None, 8)
        assert other.end == end
        assert time.monotonic() - begun < 5
    terminal.type("echo here-$((1+1))\n")
    terminal.says("here-2")


def test_a_line_without_the_guest_in_the_mirror_ends(serial: House, lab_host: LabHost, make_guest: Any) -> None:
    guest = serial.guest(make_guest(lab_host, start=True), serial.host(lab_host))
    with serial.open(guest, "serial") as ws:
        mine = Terminal(ws)
        mine.shows(status="connected")
        guest.delete()
        mine.until(lambda it: it.end is not None, 8)
        assert mine.end == (4404, "gone")


def test_a_guest_that_is_off_says_so(serial: House, lab_host: LabHost, make_guest: Any) -> None:
    guest = serial.guest(make_guest(lab_host), serial.host(lab_host))
    with serial.open(guest, "serial") as ws:
        Terminal(ws).shows(status="off")


def test_a_foreign_origin_gets_no_websocket(serial: House, line: tuple[LabGuest, Guest]) -> None:
    for origin in ("http://evil.example", ""):
        with pytest.raises(InvalidStatus) as refused:
            serial.connect(serial.ticket(line[1], "serial"), "serial", origin=origin)
        assert refused.value.response.status_code == 403


def test_tickets_are_for_one_use_one_session_one_kind(serial: House, line: tuple[LabGuest, Guest]) -> None:
    used = serial.ticket(line[1], "serial")
    tries = [
        (used, {}),
        (serial.ticket(line[1], "vnc"), {}),
        (serial.ticket(line[1], "serial"), {"session": serial.person("operator")}),
        (serial.ticket(line[1], "serial"), {"headers": {}}),
    ]
    with serial.connect(used, "serial") as ws:
        Terminal(ws).shows(status="connected")
        for token, changes in tries:
            with serial.connect(token, "serial", **changes) as refused:
                it = Terminal(refused)
                it.until(lambda it: it.end is not None)
                assert it.end == (4401, "ticket")


def test_words_that_are_no_wish_end_the_connection(serial: House, line: tuple[LabGuest, Guest]) -> None:
    for text in ("hello", "[]", '{"rm": true}', '{"take": 1}'):
        with serial.open(line[1], "serial") as ws:
            it = Terminal(ws)
            it.shows(status="connected")
            ws.send(text)
            it.until(lambda it: it.end is not None)
            assert it.end == (4400, "protocol")


def test_no_ticket_stands_in_the_log(serial: House) -> None:
    """Last in this module."""
    assert "dashboard" in serial.log("serial")
    assert not [token for token in serial.issued if token in serial.log("serial")]
