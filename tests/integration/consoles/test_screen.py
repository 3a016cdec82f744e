"""A guest's screen through the real gateway: what is let in, what is not, and when it ends."""

from __future__ import annotations

import datetime
import signal
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.utils import timezone
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection

from dashboard.accounts.models import Grant, Role, User
from dashboard.accounts.people import set_role
from dashboard.consoles import tickets
from dashboard.inventory.models import Guest
from tests.integration.consoles.conftest import House, Session
from tests.integration.consoles.rfb import Rfb
from tests.lab.guests import LabGuest
from tests.lab.hosts import LabHost, wait_for

Screen = tuple[LabGuest, Guest]


def end_of(ws: ClientConnection, seconds: float = 15) -> tuple[int, str]:
    """Read until the server closes; its code and word."""
    until = time.monotonic() + seconds
    try:
        while time.monotonic() < until:
            ws.recv(timeout=seconds)
    except ConnectionClosed as closed:
        assert closed.rcvd is not None, "closed without saying why"
        return closed.rcvd.code, closed.rcvd.reason
    raise AssertionError("it stayed open")


def answer_of(ws: ClientConnection) -> bytes | tuple[int, str]:
    """How the display begins, or how the door was shut."""
    try:
        said = ws.recv(timeout=15)
    except ConnectionClosed as closed:
        assert closed.rcvd is not None, "closed without saying why"
        return closed.rcvd.code, closed.rcvd.reason
    assert isinstance(said, bytes)
    return said[:3]


def test_the_framebuffer_of_the_guest_arrives(gateway: House, screen: Screen) -> None:
    with gateway.open(screen[1]) as ws:
        rfb = Rfb(ws)
        assert screen[0].name in rfb.name
        wait_for(lambda: any(rfb.picture()), seconds=20, saying="something is on the screen")


def test_the_ticket_is_not_echoed(gateway: House, screen: Screen) -> None:
    with gateway.open(screen[1]) as ws:
        assert ws.subprotocol == "binary"


def test_a_ticket_opens_one_console_only(gateway: House, screen: Screen) -> None:
    token = gateway.ticket(screen[1])
    with gateway.connect(token) as one, gateway.connect(token) as other:
        # Each has a process of its own: who came first is not always first at the ticket.
        answers = {ws: answer_of(ws) for ws in (one, other)}
        assert sorted(map(str, answers.values())) == sorted(map(str, (b"RFB", (4401, "ticket"))))
    token = gateway.ticket(screen[1])
    with gateway.connect(token) as first:
        Rfb(first)
        with gateway.connect(token) as second:
            assert end_of(second) == (4401, "ticket")


def test_a_ticket_lives_for_half_a_minute(gateway: House, screen: Screen, redis_server: object) -> None:
    token = gateway.ticket(screen[1])
    from dashboard.inventory import bus

    key = f"kvmweb:ticket:{tickets.digest(token)}"
    assert 0 < bus.client().ttl(key) <= 30
    bus.client().pexpire(key, 1)
    time.sleep(0.05)
    with gateway.connect(token) as ws:
        assert end_of(ws) == (4401, "ticket")


def test_redis_holds_no_usable_ticket(gateway: House, screen: Screen) -> None:
    from dashboard.inventory import bus

    token = gateway.ticket(screen[1])
    keys = bus.client().keys("*")
    values = [bus.client().get(key) for key in bus.client().keys("kvmweb:ticket:*")]
    assert token not in "".join(keys) + "".join(values)
    assert gateway.session.key not in "".join(values)


def test_another_session_cannot_use_the_ticket(gateway: House, screen: Screen) -> None:
    token = gateway.ticket(screen[1])
    with gateway.connect(token, session=Session(gateway.user)) as ws:
        assert end_of(ws) == (4401, "ticket")
    with gateway.connect(gateway.ticket(screen[1]), headers={}) as ws:
        assert end_of(ws) == (4401, "ticket")


def test_a_ticket_for_the_serial_line_opens_no_screen(gateway: House, screen: Screen) -> None:
    with gateway.connect(gateway.ticket(screen[1], "serial")) as ws:
        assert end_of(ws) == (4401, "ticket")


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "https://127.0.0.1:8000", "http://127.0.0.1:8001", "http://a.127.0.0.1:8000", "null", ""],
)
def test_a_foreign_or_missing_origin_gets_no_websocket(gateway: House, screen: Screen, origin: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        gateway.connect(gateway.ticket(screen[1]), origin=origin)
    assert refused.value.response.status_code == 403


@pytest.mark.parametrize("path", ["/", "/console/vnc?token=x", "/vnc.html", "/console/../etc"])
def test_there_is_one_path_and_no_file(gateway: House, screen: Screen, path: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        gateway.connect(gateway.ticket(screen[1]), path=path)
    assert refused.value.response.status_code == 404


def test_another_guest_on_the_same_port_is_not_shown(
    gateway: House, lab_host: LabHost, make_guest: Callable[..., LabGuest], screen: Screen
) -> None:
    first, mirrored = screen
    ssh = gateway.guest(first, gateway.host(lab_host, "ssh"))
    by_socket, by_port = gateway.ticket(mirrored), gateway.ticket(ssh)
    port = first.virsh("domdisplay")
    second = make_guest(lab_host)
    first.virsh("destroy")
    second.virsh("start")
    assert second.virsh("domdisplay") == port, "the second guest got the first one's port"
    for token in (by_socket, by_port):
        with gateway.connect(token) as ws:
            assert end_of(ws) == (4409, "off")


@pytest.mark.parametrize("transport", ["ssh", "ssh-password"])
def test_a_screen_on_the_loopback_of_an_ssh_host_is_reached_through_a_tunnel(
    gateway: House, lab_host: LabHost, screen: Screen, transport: str
) -> None:
    guest = gateway.guest(screen[0], gateway.host(lab_host, transport))
    with gateway.open(guest) as ws:
        rfb = Rfb(ws)
        assert screen[0].name in rfb.name
        assert len(rfb.picture()) == 4 * rfb.width * rfb.height


def test_a_guest_that_does_not_run_says_so(
    gateway: House, lab_host: LabHost, make_guest: Callable[..., LabGuest]
) -> None:
    guest = gateway.guest(make_guest(lab_host), gateway.host(lab_host))
    with gateway.open(guest) as ws:
        assert end_of(ws) == (4409, "off")


def test_a_guest_without_a_display_says_so(
    gateway: House, lab_host: LabHost, make_guest: Callable[..., LabGuest]
) -> None:
    guest = gateway.guest(make_guest(lab_host, display=False, start=True), gateway.host(lab_host))
    with gateway.open(guest) as ws:
        assert end_of(ws) == (4410, "no-display")


def test_a_guest_that_libvirt_does_not_know_is_gone(gateway: House, screen: Screen) -> None:
    guest = Guest.objects.create(
        host=screen[1].host, uuid="00000000-0000-4000-8000-00000000dead", name="nobody", state="running"
    )
    with gateway.open(guest) as ws:
        assert end_of(ws) == (4404, "gone")


def test_a_host_that_does_not_answer_says_so(gateway: House, screen: Screen) -> None:
    host = screen[1].host
    host.address = "/nowhere/libvirt-sock"
    host.save()
    with gateway.open(screen[1]) as ws:
        assert end_of(ws) == (4502, "host")


def logged_out(house: House, session: Session, screen: Screen) -> None:
    session.store.delete()


def session_expired(house: House, session: Session, screen: Screen) -> None:
    from django.contrib.sessions.models import Session as Row

    Row.objects.filter(session_key=session.key).update(expire_date=timezone.now() - datetime.timedelta(seconds=1))


def disabled(house: House, session: Session, screen: Screen) -> None:
    session.user.is_active = False
    session.user.save()


def demoted(house: House, session: Session, screen: Screen) -> None:
    set_role(session.user, "viewer")


def password_changed(house: House, session: Session, screen: Screen) -> None:
    session.user.set_password("another one entirely")
    session.user.save()


def guest_removed(house: House, session: Session, screen: Screen) -> None:
    screen[1].delete()


def guest_stopped(house: House, session: Session, screen: Screen) -> None:
    screen[0].virsh("destroy")


@pytest.mark.parametrize(
    ("event", "end"),
    [
        (logged_out, (4401, "session")),
        (session_expired, (4401, "session")),
        (disabled, (4401, "session")),
        (password_changed, (4401, "session")),
        (demoted, (4403, "rights")),
        (guest_removed, (4404, "gone")),
        (guest_stopped, (4412, "ended")),
    ],
)
def test_an_open_screen_ends_within_five_seconds(
    gateway: House, screen: Screen, event: Callable[[House, Session, Screen], None], end: tuple[int, str]
) -> None:
    session = gateway.person("operator")
    with gateway.open(screen[1], session=session) as ws:
        Rfb(ws)
        begun = time.monotonic()
        event(gateway, session, screen)
        assert end_of(ws) == end
        assert time.monotonic() - begun < 5


def left_the_group(person: User) -> None:
    person.groups.clear()


def lost_the_grant(person: User) -> None:
    Grant.objects.filter(group__user=person).delete()


def the_role_was_edited(person: User) -> None:
    Role.objects.filter(slug="screens").update(permissions=["guest.view"])


def the_tag_was_taken_away(person: User) -> None:
    Guest.objects.filter(tags_text=" screens ").update(tags=[], tags_text="")


@pytest.mark.parametrize("event", [left_the_group, lost_the_grant, the_role_was_edited, the_tag_was_taken_away])
def test_a_screen_that_is_open_by_a_groups_role_on_a_tag_ends_with_any_of_them(
    gateway: House, screen: Screen, event: Callable[[User], None]
) -> None:
    Role.objects.update_or_create(slug="screens", defaults={"permissions": ["guest.view", "guest.console"]})
    group, _made = Group.objects.get_or_create(name="screens")
    Grant.objects.get_or_create(group=group, role="screens", place="tag", key="screens")
    Guest.objects.filter(pk=screen[1].pk).update(tags=["screens"], tags_text=" screens ")
    session = gateway.person("")
    session.user.groups.add(group)
    with gateway.open(screen[1], session=session) as ws:
        Rfb(ws)
        begun = time.monotonic()
        event(session.user)
        assert end_of(ws) == (4403, "rights")
        assert time.monotonic() - begun < 5


def test_a_browser_that_does_not_read_is_cut_off_all_the_same(gateway: House, screen: Screen) -> None:
    session = gateway.person("operator")
    ws = gateway.open(screen[1], session=session)
    rfb = Rfb(ws)
    ws.socket.settimeout(1)
    for _ in range(40):  # ask for far more than the buffers take, read nothing
        ws.send(struct.pack(">BBHHHH", 3, 0, 0, 0, rfb.width, rfb.height))
    session.store.delete()
    wait_for(lambda: not gateway.children("console"), seconds=6, saying="the console's process has ended")


def test_each_console_is_a_process_and_the_parent_holds_nothing(gateway: House, screen: Screen) -> None:
    with gateway.open(screen[1]) as first, gateway.open(screen[1]) as second:
        Rfb(first), Rfb(second)
        assert len(gateway.children("console")) == 2
        held = [str(path.readlink()) for path in Path(f"/proc/{gateway.processes['console'].pid}/fd").iterdir()]
        assert not [name for name in held if "sqlite" in name or "libvirt" in name]
        threads = list(Path(f"/proc/{gateway.processes['console'].pid}/task").iterdir())
        assert len(threads) <= 1 + len([t for t in threads if "blas" in (t / "comm").read_text().lower()]), (
            "no thread is forked"
        )
    wait_for(lambda: not gateway.children("console"), seconds=5, saying="both processes have ended")


def test_a_frame_of_more_than_a_megabyte_ends_the_console(gateway: House, screen: Screen) -> None:
    with gateway.open(screen[1]) as ws:
        Rfb(ws)
        with pytest.raises(ConnectionClosed):
            ws.send(bytes(3_000_000))
            end_of(ws)


def test_too_many_consoles_of_one_guest_are_refused(gateway: House, screen: Screen) -> None:
    opened = [gateway.open(screen[1]) for _ in range(8)]
    try:
        for ws in opened:
            Rfb(ws)
        with gateway.open(screen[1]) as ninth:
            assert end_of(ninth) == (4429, "busy")
        with gateway.open(screen[1], session=gateway.person("operator")) as other:
            assert end_of(other) == (4429, "busy")
    finally:
        for ws in opened:
            ws.close()
    wait_for(lambda: not gateway.children("console"), seconds=8)
    with gateway.open(screen[1]) as again:
        Rfb(again)


def test_killing_the_gateway_ends_its_consoles_and_a_new_one_serves(gateway: House, screen: Screen) -> None:
    with gateway.open(screen[1]) as ws:
        Rfb(ws)
        gateway.kill("console", signal.SIGKILL)
        assert end_of(ws) == (1012, "restart")
    gateway.start("console")
    with gateway.open(screen[1]) as ws:
        Rfb(ws)


def test_stopping_the_gateway_tells_the_browsers(gateway: House, screen: Screen) -> None:
    with gateway.open(screen[1]) as ws:
        Rfb(ws)
        gateway.kill("console", signal.SIGTERM)
        assert end_of(ws) == (1012, "restart")
    gateway.start("console")


def test_a_watcher_sees_the_screen(gateway: House, screen: Screen) -> None:
    session = gateway.person("viewer")
    with gateway.open(screen[1], session=session, view_only=True, permission="guest.watch") as ws:
        rfb = Rfb(ws)
        assert len(rfb.picture()) == 4 * rfb.width * rfb.height


def test_a_viewer_cannot_use_a_ticket_to_work(gateway: House, screen: Screen) -> None:
    with gateway.open(screen[1], session=gateway.person("viewer")) as ws:
        assert end_of(ws) == (4403, "rights")


def test_opening_a_screen_is_in_the_audit_log(gateway: House, screen: Screen) -> None:
    from dashboard.accounts.models import AuditEntry

    with gateway.open(screen[1]) as ws:
        Rfb(ws)
    entry = AuditEntry.objects.filter(action="console.open", object_key=str(screen[1].uuid)).first()
    assert entry is not None and entry.actor == gateway.user and entry.detail == {"kind": "vnc", "view_only": False}


@pytest.mark.parametrize("ticket", [{"view_only": True}, {"permission": "guest.watch"}])
def test_keys_reach_the_guest_unless_one_only_watches(
    gateway: House, lab_host: LabHost, tiny_guest: LabGuest, ticket: dict[str, Any]
) -> None:
    guest = gateway.guest(tiny_guest, gateway.host(lab_host))
    with gateway.open(guest) as works, gateway.open(guest, **ticket) as watches:
        worker, watcher = Rfb(works), Rfb(watches)
        watcher.type("echo watched > /dev/ttyS0\n")
        time.sleep(1)
        wait_for(
            lambda: worker.type("echo worked > /dev/ttyS0\n") or "worked" in tiny_guest.console_log,
            seconds=30,
            every=2,
            saying="what was typed arrived",
        )
        watcher.type("echo watched > /dev/ttyS0\n")
        worker.type("echo again > /dev/ttyS0\n")
        tiny_guest.wait_for_line("again", 20)
        assert "watched" not in tiny_guest.console_log


def test_no_ticket_stands_in_any_log(gateway: House, screen: Screen) -> None:
    """Last in this module: after everything above, with the logs at debug level."""
    with gateway.open(screen[1]) as used, gateway.connect(gateway.issued[-1]) as again:
        Rfb(used)
        assert end_of(again) == (4401, "ticket")
    written = "".join(path.read_text(errors="replace") for path in gateway.folder.glob("*.log"))
    assert "console gateway listens" in written
    assert not [token for token in gateway.issued if token in written]
    assert gateway.session.key not in written
