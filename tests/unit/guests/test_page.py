"""One guest's page: its tabs, what it shows, what it hides, and who may see it."""

from __future__ import annotations

import uuid

import pytest
from django.test import Client
from django.utils import timezone

from dashboard.guests.markup import coloured_xml, markdown
from dashboard.guests.models import GuestNotes
from dashboard.inventory.models import Guest, Host, Pool
from dashboard.jobs.models import Job
from tests.unit.guests.conftest import make_guest, make_host, make_volume

TABS = ("", "overview/", "performance/", "console/", "serial/", "xml/", "jobs/", "notes/")


def get(browser: Client, guest: Guest, tab: str = "", query: str = "") -> str:
    answer = browser.get(f"/guests/{guest.uuid}/{tab}{query}")
    assert answer.status_code == 200
    return answer.content.decode()


@pytest.mark.parametrize("tab", TABS)
def test_every_tab_is_an_address_of_its_own(browser: Client, guest: Guest, tab: str) -> None:
    text = get(browser, guest, tab)
    assert "web1" in text
    assert 'aria-current="page"' in text


@pytest.mark.parametrize("tab", [*TABS, "menu/", "dialogs/rename/", "history.json"])
def test_a_guest_that_is_not_there_and_one_of_another_host_are_the_same_404(
    browser: Client, guest: Guest, tab: str
) -> None:
    other = make_host("kvm2")
    missing = browser.get(f"/guests/{uuid.uuid4()}/{tab}")
    elsewhere = browser.get(f"/guests/{guest.uuid}/{tab}?host={other.pk}")
    assert missing.status_code == elsewhere.status_code == 404
    assert missing.content.replace(b" ", b"")[:200] == elsewhere.content.replace(b" ", b"")[:200]


def test_the_same_uuid_on_two_hosts_is_a_choice(browser: Client, guest: Guest) -> None:
    other = make_host("kvm2")
    make_guest(other, "copy", uuid=guest.uuid)
    text = get(browser, guest)
    assert "Which one?" in text
    assert f"?host={other.pk}" in text
    assert "copy" in get(browser, guest, query=f"?host={other.pk}")


def test_the_overview_shows_disks_with_sizes_and_cards_with_their_addresses(
    browser: Client, host: Host, pool: Pool
) -> None:
    volume = make_volume(pool, "web1.qcow2", capacity=20 * 1024**3, allocation=1024**3)
    guest = make_guest(
        host, "web1", state="running", started_at=timezone.now(),
        addresses=[{"ip": "192.0.2.7", "prefix": 24, "mac": "52:54:00:00:00:01", "source": "agent"},
                   {"ip": "198.51.100.9", "prefix": 24, "mac": "", "source": "arp"}],
        facts={
            "disks": [{"target": "vda", "bus": "virtio", "device": "disk", "source": volume.path, "format": "qcow2"},
                      {"target": "sda", "bus": "sata", "device": "cdrom", "source": "", "format": "raw"}],
            "nics": [{"mac": "52:54:00:00:00:01", "kind": "network", "source": "default", "model": "virtio", "target": "vnet0"}],
        },
    )  # fmt: skip
    text = get(browser, guest)
    for piece in (
        "20 GiB",
        "1 GiB",
        "Pool default",
        "empty",
        "192.0.2.7",
        "198.51.100.9",
        "vnet0",
        "pc-q35-7.2",
        "disk, CD-ROM",
    ):
        assert piece in text, piece


def test_an_unreachable_host_says_when_it_was_last_seen(browser: Client) -> None:
    host = make_host("gone", status=Host.Status.DOWN, last_seen=timezone.now(), status_text="No route to host")
    text = get(browser, make_guest(host, "web1", state="running"))
    assert "does not answer" in text
    assert "Last seen" in text
    assert "No route to host" in text
    assert 'aria-disabled="true"' in text


def test_a_disk_error_is_said_aloud(browser: Client, host: Host) -> None:
    assert "A disk reported an error" in get(browser, make_guest(host, "web1", state="paused", reason="I/O error"))


def test_the_menu_says_why_what_does_not_fit_is_disabled(browser: Client, guest: Guest) -> None:
    text = browser.get(f"/guests/{guest.uuid}/menu/").content.decode()
    assert "It is off: start it first." in text
    assert 'data-operation="guest.start"' in text
    assert "dialogs/delete/" in text


def test_a_viewer_has_no_operations_in_the_menu_and_no_dialogs(watcher: Client, guest: Guest) -> None:
    assert "data-operation" not in watcher.get(f"/guests/{guest.uuid}/menu/").content.decode()
    assert watcher.get(f"/guests/{guest.uuid}/dialogs/delete/").status_code == 404


def test_the_delete_dialog_ticks_nothing_and_says_what_stays(browser: Client, host: Host, pool: Pool) -> None:
    own, shared, iso = (make_volume(pool, name) for name in ("web1.qcow2", "shared.qcow2", "debian.iso"))
    disks = [
        {"target": "vda", "device": "disk", "source": own.path},
        {"target": "vdb", "device": "disk", "source": shared.path},
        {"target": "vdc", "device": "disk", "source": "/dev/sdz"},
        {"target": "sda", "device": "cdrom", "source": iso.path},
    ]
    guest = make_guest(host, "web1", facts={"disks": disks})
    sources = f"<disk><source file='{shared.path}'/></disk>"
    make_guest(host, "web2", facts={"disks": disks[1:2]}, xml=sources)
    text = browser.get(f"/guests/{guest.uuid}/dialogs/delete/").content.decode()
    assert " checked" not in text
    assert "It is a medium in a drive" in text
    assert "Also used by web2." in text
    assert "It is in no storage pool of this host." in text
    assert text.count('data-type="list" disabled') == 3


def test_xml_is_coloured_and_every_letter_of_it_escaped(browser: Client, host: Host) -> None:
    xml = "<domain type='kvm'>\n  <!-- a & b -->\n  <name>\"x\" &lt;script&gt;</name>\n</domain>"
    text = get(browser, make_guest(host, "web1", xml=xml), "xml/")
    assert '<span class="x-tag">&lt;domain</span>' in text
    assert '<script>"' not in text
    assert "".join(word for _kind, word in coloured_xml(xml)) == xml


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<",
        '<a b="c',
        "a > b",
        "<a x='1' y=\"2\"/>text",
        "<!-- <b> -->",
        "\x00<\u202e>",
        "<a>'</a><b c='d'/>",
        "=" * 99,
    ],
)
def test_colouring_loses_and_adds_nothing(text: str) -> None:
    assert "".join(word for _kind, word in coloured_xml(text)) == text


@pytest.mark.parametrize(
    ("text", "never"),
    [
        ("<script>alert(1)</script>", "<script"), ("[x](javascript:alert(1))", 'href="javascript'),
        ("![x](http://evil/x.png)", "<img"), ('<a href="x" onclick="y">z</a>', "<a href"), ("<style>*{}</style>", "<style"),
        ("[x](data:text/html,<script>)", 'href="data'), ("<iframe src=//x>", "<iframe"),
    ],
)  # fmt: skip
def test_notes_hold_no_active_html(text: str, never: str) -> None:
    assert never not in markdown(text)


def test_notes_are_markdown() -> None:
    html = markdown("# Head\n\n**bold** [link](https://example.org) `code`\n\n| a | b |\n|---|---|\n| 1 | 2 |")
    for piece in ("<h1>Head</h1>", "<strong>bold</strong>", 'href="https://example.org"', "noopener", "<td>1</td>"):
        assert piece in html


def test_notes_are_saved_with_who_wrote_them(browser: Client, guest: Guest) -> None:
    answer = browser.post(f"/guests/{guest.uuid}/notes/?host={guest.host_id}", {"text": "**hello**"})
    assert answer.status_code == 302
    assert GuestNotes.objects.get(guest=guest).changed_by == "operator"
    assert "<strong>hello</strong>" in get(browser, guest, "notes/")


def test_a_viewer_reads_notes_and_may_not_write_them(watcher: Client, guest: Guest) -> None:
    GuestNotes.objects.create(guest=guest, text="**hello**")
    text = get(watcher, guest, "notes/")
    assert "<strong>hello</strong>" in text
    assert "<textarea" not in text
    assert watcher.post(f"/guests/{guest.uuid}/notes/", {"text": "x"}).status_code == 403


def test_the_jobs_tab_shows_this_guests_jobs_and_a_viewer_only_his_own(
    browser: Client, watcher: Client, guest: Guest, operator: object
) -> None:
    Job.objects.create(
        operation="guest.start", host=guest.host, object_kind="guest", object_key=str(guest.uuid), object_name="web1",
        created_by=operator, created_by_name="operator", state="succeeded",
    )  # fmt: skip
    Job.objects.create(operation="guest.start", host=guest.host, object_kind="guest", object_key=str(uuid.uuid4()))
    assert get(browser, guest, "jobs/").count('role="rowheader"') == 1
    assert "No jobs" in get(watcher, guest, "jobs/")


def test_the_page_costs_few_queries_whatever_the_number_of_guests(
    browser: Client, host: Host, guest: Guest, django_assert_max_num_queries: object
) -> None:
    for number in range(30):
        make_guest(host, f"vm{number}")
    with django_assert_max_num_queries(9):  # type: ignore[operator]
        get(browser, guest)
