"""The list of all guests: what it shows, how it is narrowed, and what it costs."""

from __future__ import annotations

import time
import uuid

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from dashboard.inventory.models import Guest, Host
from tests.unit.guests.conftest import FACTS, make_guest, make_host


def page(browser: Client, query: str = "") -> str:
    answer = browser.get(f"/guests/{query}")
    assert answer.status_code == 200, answer.content[:400]
    return answer.content.decode()


def names(text: str) -> list[str]:
    """Names of the rows in order; the template of new rows is not one."""
    import re

    shown = text.split('<template id="guest-row">')[0]
    return re.findall(r'data-f="name" data-fmt="plain">([^<]*)</a>', shown)


def test_without_hosts_the_page_says_that_one_has_to_be_added(browser: Client) -> None:
    assert "No host yet" in page(browser)


def test_without_guests_the_page_offers_to_make_one(browser: Client, host: Host) -> None:
    text = page(browser)
    assert "No virtual machine yet" in text
    assert "/guests/new/" in text


def test_a_viewer_is_not_offered_to_make_one(watcher: Client, host: Host) -> None:
    text = page(watcher)
    assert "No virtual machine yet" in text
    assert "/guests/new/" not in text


def test_a_search_without_result_offers_to_show_all(browser: Client, guest: Guest) -> None:
    text = page(browser, "?q=nothinglikethis")
    assert "Nothing matches" in text
    assert names(text) == []


def test_a_row_shows_state_host_size_addresses_and_tags(browser: Client, host: Host) -> None:
    make_guest(
        host, "web1", title="Shop", state="running", reason="booted", started_at=timezone.now(), tags=["prod", "web"],
        addresses=[{"ip": "192.0.2.7", "prefix": 24, "mac": "52:54:00:00:00:01", "source": "lease"}],
    )  # fmt: skip
    text = page(browser)
    for piece in (
        "web1",
        "Shop",
        "Running",
        "kvm1",
        "1 GiB",
        "192.0.2.7",
        'data-copy="192.0.2.7"',
        ">prod<",
        ">web<",
        "Shut down",
    ):
        assert piece in text, piece


def test_a_name_made_of_html_is_only_text(browser: Client, host: Host) -> None:
    make_guest(host, "<script>alert(1)</script>", title='"><img src=x>', tags=["<b>"])
    text = page(browser)
    assert "<script>alert(1)" not in text
    assert "<img src=x" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text


def test_a_guest_of_a_host_that_does_not_answer_is_unknown(browser: Client) -> None:
    make_guest(make_host("gone", status=Host.Status.DOWN), "web1", state="running", started_at=timezone.now())
    text = page(browser)
    assert 'data-shown="unknown"' in text
    assert names(page(browser, "?state=running")) == []
    assert names(page(browser, "?state=unknown")) == ["web1"]


def test_the_state_of_a_saved_guest_is_saved_not_off(browser: Client, host: Host) -> None:
    make_guest(host, "web1", saved=True)
    assert names(page(browser, "?state=saved")) == ["web1"]
    assert names(page(browser, "?state=shutoff")) == []
    assert "Restore" in page(browser)


@pytest.mark.parametrize("word", ["shop", "WEB1", "prod", "192.0.2.7", "kvm1", "web1 shop"])
def test_search_finds_names_titles_tags_addresses_and_hosts(browser: Client, host: Host, word: str) -> None:
    make_guest(host, "web1", title="Shop", tags=["prod"], addresses=[{"ip": "192.0.2.7", "mac": "", "source": "arp"}])
    make_guest(make_host("other"), "db1")
    assert names(page(browser, f"?q={word}")) == ["web1"]


def test_search_finds_by_the_beginning_of_the_uuid(browser: Client, host: Host) -> None:
    make_guest(host, "web1", uuid=uuid.UUID("abcdef01-0000-4000-8000-000000000001"))
    make_guest(host, "web2")
    assert names(page(browser, "?q=abcdef01-0000")) == ["web1"]


def test_a_tag_is_a_word_and_not_a_part_of_one(browser: Client, host: Host) -> None:
    make_guest(host, "web1", tags=["prod"])
    make_guest(host, "web2", tags=["preprod"])
    assert names(page(browser, "?tag=prod")) == ["web1"]


def test_hosts_narrow_the_list(browser: Client, host: Host) -> None:
    other = make_host("kvm2")
    make_guest(host, "a")
    make_guest(other, "b")
    assert names(page(browser, f"?host={other.pk}")) == ["b"]


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        ("name", ["a", "b", "c"]), ("-name", ["c", "b", "a"]), ("memory", ["c", "a", "b"]), ("-vcpus", ["b", "a", "c"]),
        ("state", ["b", "a", "c"]), ("cpu", ["a", "b", "c"]), ("nonsense", ["a", "b", "c"]),
    ],
)  # fmt: skip
def test_the_address_orders_the_list(browser: Client, host: Host, sort: str, order: list[str]) -> None:
    make_guest(host, "a", memory_kib=2048, vcpus=2)
    make_guest(host, "b", memory_kib=4096, vcpus=4, state="running")
    make_guest(host, "c", memory_kib=1024, vcpus=1)
    assert names(page(browser, f"?sort={sort}")) == order


def test_the_head_of_the_ordering_column_says_so(browser: Client, guest: Guest) -> None:
    assert 'class="g-name" aria-sort="ascending"' in page(browser)
    assert 'class="g-host" aria-sort="descending"' in page(browser, "?sort=-host")


def test_fifty_guests_a_page(browser: Client, host: Host) -> None:
    for number in range(53):
        make_guest(host, f"vm{number:03}")
    assert len(names(page(browser))) == 50
    second = page(browser, "?page=2")
    assert names(second) == ["vm050", "vm051", "vm052"]
    assert "51 to 53 of 53" in second
    assert names(page(browser, "?page=999")) == names(second)


@pytest.mark.parametrize(
    "query", ["?page=-1", "?page=x", "?page=99999999999999999999", "?host=x", "?host=²", "?state=<", "?sort=--"]
)
def test_a_nonsense_address_is_no_error(browser: Client, guest: Guest, query: str) -> None:
    assert names(page(browser, query)) == ["web1"]


def test_a_person_who_may_not_see_guests_gets_none(client: Client, guest: Guest) -> None:
    assert client.get("/guests/").status_code == 302


def test_a_viewer_gets_no_power_buttons(watcher: Client, guest: Guest) -> None:
    assert "guest.start" not in page(watcher).split("guest-words")[0]


def fill(host: Host, number: int) -> None:
    xml = "<domain>" + "x" * 4000 + "</domain>"
    Guest.objects.bulk_create(
        [
            Guest(
                host=host, uuid=uuid.uuid4(), name=f"vm{index:05}", state=("running", "shutoff", "paused")[index % 3],
                vcpus=2, memory_kib=1 << 20, facts=FACTS, xml=xml, tags=["prod"], tags_text=" prod ",
                addresses=[{"ip": f"10.0.{index % 250}.7", "mac": "", "source": "lease"}],
            )
            for index in range(number)
        ],
        batch_size=500,
    )  # fmt: skip


def cost(browser: Client, query: str = "") -> tuple[int, float]:
    """(SQL queries, CPU seconds) of one page, the best of five."""
    page(browser, query)
    best = 9.9
    for _attempt in range(5):
        begun = time.process_time()
        with CaptureQueriesContext(connection) as queries:
            page(browser, query)
        best = min(best, time.process_time() - begun)
    return len(queries), best


def test_a_page_costs_the_same_number_of_queries_whatever_the_number_of_guests(browser: Client, host: Host) -> None:
    counts, seconds = {}, {}
    for number, more in ((10, 10), (1_000, 990), (10_000, 9_000)):
        fill_from = Guest.objects.count()
        fill(host, more)
        assert Guest.objects.count() == fill_from + more == number
        for query in ("", "?state=running&sort=-name", "?q=vm000&tag=prod"):
            counts.setdefault(query, set()).add(cost(browser, query)[0])
        seconds[number] = cost(browser)[1]
    assert all(len(found) == 1 for found in counts.values()), counts
    assert max(max(found) for found in counts.values()) <= 10, counts
    print(seconds)
    assert seconds[10_000] < seconds[1_000] * 2 + 0.02, seconds
