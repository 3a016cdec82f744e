"""Pictures of screens: taken of real guests while somebody looks, not too often, and not held up by one that hangs."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from PIL import Image, ImageChops

from dashboard.inventory import photographer, screens
from dashboard.inventory.photographer import Photographer
from dashboard.virt.uri import HostSpec
from tests.integration.inventory.mirror import Mirror
from tests.lab.guests import LabGuest
from tests.lab.hosts import LabHost, continue_process, stop_process, wait_for

Make = Callable[..., LabGuest]
HOST = 7


@pytest.fixture
def taking(lab_host: LabHost, redis_client: redis.Redis) -> Iterator[Photographer]:
    """A photographer at the host, who is asked by the test."""
    found = Photographer(HostSpec(key="h7", transport="local", socket=lab_host.socket), HOST)
    yield found
    found.close()


def taken(taking: Photographer, guest: LabGuest, others: tuple[str, ...] = (), seconds: float = 30) -> str:
    """The mark of the guest's picture, once it is there."""

    def mark() -> str:
        taking.look([*others, guest.uuid])
        return screens.marks([(HOST, guest.uuid)]).get((HOST, guest.uuid), "")

    return str(wait_for(mark, seconds=seconds, every=0.2, saying=f"a picture of {guest.name}"))


def picture(guest: LabGuest) -> Image.Image:
    found = screens.picture(HOST, guest.uuid)
    assert found is not None
    return Image.open(io.BytesIO(found[1]))


def test_a_running_guests_screen_is_taken_made_small_and_encoded_anew(
    taking: Photographer, lab_host: LabHost, make_guest: Make, tmp_path: Path
) -> None:
    guest = make_guest(lab_host, "shown", start=True)
    mark = taken(taking, guest)
    small = picture(guest)
    assert (small.format, small.width) == ("WEBP", 320)
    lab_host.virsh("screenshot", guest.uuid, str(tmp_path / "theirs"))
    theirs = Image.open(tmp_path / "theirs").convert("RGB").resize(small.size)
    different = ImageChops.difference(small.convert("RGB"), theirs).convert("L").histogram()
    assert sum(different[60:]) < 0.1 * small.width * small.height
    assert mark != screens.NONE


def test_a_guests_picture_is_taken_once_in_ten_seconds_however_many_look(
    taking: Photographer, lab_host: LabHost, make_guest: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    guest = make_guest(lab_host, "once", start=True)
    kept: list[float] = []
    keep = screens.keep
    monkeypatch.setattr(screens, "keep", lambda *given: (kept.append(time.monotonic()), keep(*given)))
    taken(taking, guest)
    until = time.monotonic() + 12
    while time.monotonic() < until:
        taking.look([guest.uuid, guest.uuid])
        time.sleep(0.1)
    assert len(kept) == 2
    assert kept[1] - kept[0] > 9.5


def test_a_guest_without_a_screen_says_so_and_holds_up_nobody(
    taking: Photographer, lab_host: LabHost, make_guest: Make
) -> None:
    blind, shown = make_guest(lab_host, "blind", display=False, start=True), make_guest(lab_host, "seen", start=True)
    assert taken(taking, shown, (blind.uuid, "00000000-0000-4000-8000-000000000000")) != screens.NONE
    assert screens.marks([(HOST, blind.uuid)]) == {(HOST, blind.uuid): screens.NONE}
    assert screens.picture(HOST, blind.uuid) is None


def test_a_guest_that_hangs_is_given_up_and_the_others_are_shown(
    taking: Photographer, lab_host: LabHost, make_guest: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(photographer, "PATIENCE", 2.0)
    hangs, shown = make_guest(lab_host, "hangs", start=True), make_guest(lab_host, "goes-on", start=True)
    pid = _process_of(lab_host, "hangs")
    stop_process(pid)
    try:
        begun = time.monotonic()
        assert taken(taking, shown, (hangs.uuid,)) != screens.NONE
        assert time.monotonic() - begun < 15
    finally:
        continue_process(pid)


def _process_of(host: LabHost, name: str) -> int:
    """The guest's QEMU, as this process counts."""
    inner = host.exec("pgrep", "-f", f"guest={name}").split()[0]
    return next(
        int(path.parent.name)
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if f"guest={name},".encode() in path.read_bytes()
        and path.parent.joinpath("status").read_text().split("NSpid:")[1].split()[1:2] == [inner]
    )


def test_the_monitor_takes_what_is_wanted_and_stops_when_nobody_looks(
    mirror: Mirror, lab_host: LabHost, make_guest: Make, redis_client: redis.Redis
) -> None:
    guest = make_guest(lab_host, "watched", start=True)
    mirror.monitor()
    host = mirror.live(mirror.add(lab_host))
    mirror.guest(guest.uuid, state="running")
    pair = (host.pk, guest.uuid)
    time.sleep(3)
    assert not screens.marks([pair]), "nobody looks"
    screens.want([pair])
    wait_for(lambda: screens.marks([pair]), seconds=20, saying="the monitor's picture")
    assert screens.wanted([host.pk]) == {host.pk: [guest.uuid]}
    time.sleep(screens.WANTED_SECONDS)
    assert screens.wanted([host.pk]) == {}
