"""Defining, naming, noting and forgetting guests on a real libvirt; their keyboard and their picture."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import libvirt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dashboard.virt import change, guests, power
from dashboard.virt.errors import VirtError
from dashboard.virt.pool import borrow
from dashboard.virt.xml.create import NewGuest, new_domain
from tests.lab.guests import LabGuest
from tests.lab.hosts import LabHost, wait_for

Make = Callable[..., LabGuest]
ISO = Path("/usr/lib/grub-rescue/grub-rescue-cdrom.iso")
NEW = NewGuest(
    uuid="4c414200-1111-4000-8001-0000000000a1", name="new1", vcpus=1, memory_kib=65536, virt="qemu", job="17"
)


@pytest.fixture
def conn(lab_host: LabHost) -> Iterator[Any]:
    with borrow(lab_host.spec()) as conn:
        yield conn


@pytest.fixture
def guest(lab_host: LabHost, make_guest: Make) -> LabGuest:
    return make_guest(lab_host)


@pytest.fixture
def defined(conn: Any) -> Iterator[str]:
    yield change.define(conn, new_domain(NEW))
    power.destroy(conn, NEW.uuid)
    change.undefine(conn, NEW.uuid)


def refuses(code: str, call: Callable[..., object], *args: Any, **kwargs: Any) -> VirtError:
    with pytest.raises(VirtError) as refused:
        call(*args, **kwargs)
    assert refused.value.code == code
    return refused.value


def test_defining_again_is_harmless_for_the_job_that_did_it_and_for_no_other(conn: Any, defined: str) -> None:
    assert change.define(conn, new_domain(NEW)) == defined == NEW.uuid
    assert change.job_of(conn, defined) == "17"
    other = NewGuest(**{**NEW.__dict__, "job": "18"})
    refuses("exists", change.define, conn, new_domain(other))
    twin = NewGuest(**{**NEW.__dict__, "uuid": "4c414200-1111-4000-8001-0000000000a2"})
    refuses("exists", change.define, conn, new_domain(twin))
    assert change.job_of(conn, defined) == "17"


def test_what_the_hosts_schema_does_not_know_is_refused(conn: Any) -> None:
    refuses("invalid", change.define, conn, new_domain(NEW).replace("</devices>", "<nonsense/></devices>"))
    refuses("invalid", change.define, conn, "<!DOCTYPE x><domain/>")
    refuses("not_found", guests.read_guest, conn, NEW.uuid)


def test_a_guest_that_is_off_is_renamed(conn: Any, guest: LabGuest, lab_host: LabHost, make_guest: Make) -> None:
    other = make_guest(lab_host)
    for _ in range(2):
        change.rename(conn, guest.uuid, "renamed-1")
        assert guests.read_guest(conn, guest.uuid).name == "renamed-1"
    refuses("exists", change.rename, conn, guest.uuid, other.name)
    refuses("invalid", change.rename, conn, guest.uuid, "-rf")
    power.start(conn, guest.uuid)
    refuses("state", change.rename, conn, guest.uuid, "renamed-2")
    power.save(conn, guest.uuid)
    refuses("state", change.rename, conn, guest.uuid, "renamed-2")
    assert guests.read_guest(conn, guest.uuid).name == "renamed-1"


def test_notes_on_a_running_guest_are_there_at_once_and_after_it_stops(conn: Any, guest: LabGuest) -> None:
    power.start(conn, guest.uuid)
    change.set_title(conn, guest.uuid, "<script>alert('1')</script> & \"more\"")
    change.set_description(conn, guest.uuid, "line 1\r\nline\t2 数据库")
    change.set_tags(conn, guest.uuid, ["web", "web", " prod "])
    for _ in range(2):
        facts = guests.read_guest(conn, guest.uuid)
        assert facts.title == "<script>alert('1')</script> & \"more\""
        assert facts.description == "line 1\nline\t2 数据库"
        assert facts.tags == ("web", "prod")
        power.destroy(conn, guest.uuid)
    change.set_title(conn, guest.uuid, "")
    change.set_description(conn, guest.uuid, "")
    change.set_tags(conn, guest.uuid, [])
    facts = guests.read_guest(conn, guest.uuid)
    assert (facts.title, facts.description, facts.tags) == ("", "", ())


def test_tags_leave_the_job_and_other_programs_notes(conn: Any, defined: str) -> None:
    conn.lookupByUUIDString(defined).setMetadata(
        libvirt.VIR_DOMAIN_METADATA_ELEMENT, "<note>theirs</note>", "app", "urn:app", libvirt.VIR_DOMAIN_AFFECT_CONFIG
    )
    change.set_tags(conn, defined, ["a", "b"])
    change.set_tags(conn, defined, ["c"])
    facts = guests.read_guest(conn, defined)
    assert facts.tags == ("c",)
    assert change.job_of(conn, defined) == "17"
    assert '<app:note xmlns:app="urn:app">theirs</app:note>' in facts.xml


def test_nonsense_in_notes_is_refused_before_libvirt_sees_it(conn: Any, guest: LabGuest) -> None:
    refuses("invalid", change.set_title, conn, guest.uuid, "two\nlines")
    refuses("invalid", change.set_description, conn, guest.uuid, "a\x00b")
    refuses("invalid", change.set_tags, conn, guest.uuid, ["two words"])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=200))
def test_any_text_comes_back_from_libvirt_byte_for_byte_or_is_refused(conn: Any, guest: LabGuest, text: str) -> None:
    for write, name in ((change.set_title, "title"), (change.set_description, "description")):
        before = getattr(guests.read_guest(conn, guest.uuid), name)
        try:
            write(conn, guest.uuid, text)
        except VirtError as error:
            assert error.code == "invalid"
            assert getattr(guests.read_guest(conn, guest.uuid), name) == before
        else:
            assert getattr(guests.read_guest(conn, guest.uuid), name) == text.replace("\r\n", "\n")


def test_autostart_is_switched_on_and_off(conn: Any, guest: LabGuest) -> None:
    for wanted in (True, True, False, False):
        change.set_autostart(conn, guest.uuid, wanted)
        assert guests.read_guest(conn, guest.uuid).autostart is wanted


def test_a_running_guest_is_not_undefined(conn: Any, guest: LabGuest) -> None:
    power.start(conn, guest.uuid)
    refuses("state", change.undefine, conn, guest.uuid)
    assert guests.read_guest(conn, guest.uuid).persistent


def test_undefining_takes_a_saved_state_with_it(conn: Any, guest: LabGuest) -> None:
    power.start(conn, guest.uuid)
    power.save(conn, guest.uuid)
    change.undefine(conn, guest.uuid)
    change.undefine(conn, guest.uuid)
    refuses("not_found", guests.read_guest, conn, guest.uuid)


def test_a_guest_with_snapshots_is_undefined_but_not_renamed(conn: Any, guest: LabGuest) -> None:
    guest.virsh("snapshot-create-as", "before", "--disk-only")
    assert "snapshots" in refuses("state", change.rename, conn, guest.uuid, "renamed-3").detail
    change.undefine(conn, guest.uuid)
    refuses("not_found", guests.read_guest, conn, guest.uuid)


def test_undefining_an_efi_guest_takes_or_leaves_its_variables(conn: Any, lab_host: LabHost) -> None:
    spec = NewGuest(**{**NEW.__dict__, "firmware": "efi"})
    for nvram in (False, True):
        change.define(conn, new_domain(spec))
        power.start(conn, NEW.uuid, paused=True)
        power.destroy(conn, NEW.uuid)
        variables = lab_host.exec("ls", "/var/lib/libvirt/qemu/nvram")
        assert "new1_VARS.fd" in variables
        assert guests.read_guest(conn, NEW.uuid).facts["firmware"] == "efi"
        change.undefine(conn, NEW.uuid, nvram=nvram)
        assert ("new1_VARS.fd" in lab_host.exec("ls", "/var/lib/libvirt/qemu/nvram")) is not nvram


def test_the_screen_of_the_grub_rescue_cd_is_a_picture_and_answers_keys(conn: Any, lab_host: LabHost) -> None:
    spec = NewGuest(**{**NEW.__dict__, "cdrom": lab_host.put(ISO)})
    change.define(conn, new_domain(spec))
    try:
        refuses("state", change.screenshot, conn, NEW.uuid)
        refuses("state", change.send_keys, conn, NEW.uuid, [28])
        power.start(conn, NEW.uuid)
        bar = wait_for(lambda: _bar(change.screenshot(conn, NEW.uuid)), seconds=60, every=0.5, saying="GRUB's menu")
        change.send_keys(conn, NEW.uuid, [108], 50)  # KEY_DOWN
        wait_for(
            lambda: _bar(change.screenshot(conn, NEW.uuid)) == bar + 1, seconds=20, every=0.5, saying="the bar moves"
        )
    finally:
        power.destroy(conn, NEW.uuid)
        change.undefine(conn, NEW.uuid)


@pytest.mark.parametrize(
    ("codes", "hold"), [([], 100), ([0], 100), ([0x300], 100), ([1] * 17, 100), ([28], -1), ([28], 10_001)]
)
def test_impossible_keys_are_refused(conn: Any, guest: LabGuest, codes: list[int], hold: int) -> None:
    refuses("invalid", change.send_keys, conn, guest.uuid, codes, hold)


def test_a_guest_without_a_screen_has_no_picture(conn: Any, lab_host: LabHost, make_guest: Make) -> None:
    guest = make_guest(lab_host, display=False)
    power.start(conn, guest.uuid)
    with pytest.raises(VirtError) as refused:
        change.screenshot(conn, guest.uuid)
    assert refused.value.code == "unsupported"


def _bar(picture: tuple[str, bytes]) -> int | None:
    """The line of text (16 pixels high) of GRUB's menu that is bright from side to side."""
    kind, png = picture
    assert kind == "image/png"
    width, rows = _pixels(png)
    for line in range(3, len(rows) // 16):
        band = [row[3 * 30 : 3 * (width - 30)] for row in rows[16 * line + 2 : 16 * line + 14]]
        if band and sum(map(sum, band)) / sum(map(len, band)) > 100:
            return line
    return None


def _pixels(png: bytes) -> tuple[int, list[bytearray]]:
    """Width and rows (RGB) of a PNG with 8 bits a channel, from the format's description (W3C PNG, sections 9 and 12)."""
    width, height, depth, colour = struct.unpack(">IIBB", png[16:26])
    assert (depth, colour) == (8, 2)
    data, at = b"", 8
    while at < len(png):
        size, kind = struct.unpack(">I4s", png[at : at + 8])
        data, at = data + (png[at + 8 : at + 8 + size] if kind == b"IDAT" else b""), at + 12 + size
    raw, rows, above = zlib.decompress(data), [], bytearray(width * 3)
    for start in range(0, height * (width * 3 + 1), width * 3 + 1):
        row = bytearray(raw[start + 1 : start + 1 + width * 3])
        for x in range(width * 3 if raw[start] else 0):
            left, corner = (row[x - 3], above[x - 3]) if x >= 3 else (0, 0)
            row[x] = (row[x] + _guess(raw[start], left, above[x], corner)) & 255
        rows.append(row)
        above = row
    return width, rows


def _guess(method: int, left: int, above: int, corner: int) -> int:
    if method == 4:
        distances = (abs(above - corner), abs(left - corner), abs(left + above - 2 * corner))
        return (left, above, corner)[distances.index(min(distances))]
    return (0, left, above, (left + above) // 2)[method]
