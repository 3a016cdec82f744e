"""Names, titles, descriptions and tags: kept byte for byte, or refused before libvirt sees them (XML-1, XML-4)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import libvirt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dashboard.virt import change, guests
from dashboard.virt.errors import VirtError
from dashboard.virt.xml.domain import Domain
from dashboard.virt.xml.text import valid_description, valid_name, valid_tags, valid_title

UUID = "4c414200-1111-4000-8001-000000000001"
XML = f"<domain type='test'><name>a</name><uuid>{UUID}</uuid><memory>8192</memory><os><type>hvm</type></os></domain>"
printable = st.text(st.characters(exclude_categories=["Cs", "Cc"], include_characters="\n\t"), max_size=300)
anything = st.text(st.characters(exclude_categories=[]), max_size=60)


@pytest.fixture(scope="module")
def conn() -> Iterator[Any]:
    """libvirt's own parser and writer of XML, in this process (its test driver)."""
    conn = libvirt.open("test:///default")
    conn.defineXML(XML)
    yield conn
    conn.close()


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(title=printable | anything, text=printable | anything)
def test_a_title_and_a_description_come_back_byte_for_byte_or_are_refused(conn: Any, title: str, text: str) -> None:
    for change_it, read, value in (
        (change.set_title, "title", title),
        (change.set_description, "description", text),
    ):
        before = getattr(guests.read_guest(conn, UUID), read)
        try:
            change_it(conn, UUID, value)
        except VirtError as error:
            assert error.code == "invalid"
            assert getattr(guests.read_guest(conn, UUID), read) == before
        else:
            assert getattr(guests.read_guest(conn, UUID), read) == value.replace("\r\n", "\n")


@settings(max_examples=300, deadline=None)
@given(title=printable, text=printable)
def test_a_title_and_a_description_survive_our_own_xml(title: str, text: str) -> None:
    view = Domain.parse(XML)
    view.title, view.description = title, text
    again = Domain.parse(view.to_text())
    assert (again.title, again.description) == (title, text)


@given(text=st.text(max_size=40))
def test_what_is_printable_and_one_line_is_a_title(text: str) -> None:
    if text.isprintable():
        assert valid_title(text) == text


@given(name=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,61}[A-Za-z0-9_-]", fullmatch=True))
def test_a_plain_name_is_taken(name: str) -> None:
    assert valid_name(name) == name


@pytest.mark.parametrize(
    "name",
    ["", "-rm", ".hidden", "a/b", "../a", "a b", "a.", "a\n", "a" * 64, "é", "<b>", "a'b", "a\u202eb", "a\x00"],
)
def test_a_name_that_could_be_more_than_a_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        valid_name(name)


def test_line_ends_of_a_form_become_libvirts() -> None:
    assert valid_description("a\r\nb") == "a\nb"
    with pytest.raises(ValueError, match="control"):
        valid_description("a\rb")


def test_tags_are_kept_once_in_order_and_without_spaces() -> None:
    assert valid_tags(["web", " db ", "web", "", "数据库"]) == ("web", "db", "数据库")
    for bad in ("two words", "<b>", "a" * 51, "a\nb", "-x"):
        with pytest.raises(ValueError, match="tag"):
            valid_tags([bad])
    with pytest.raises(ValueError, match="32"):
        valid_tags([str(number) for number in range(33)])
