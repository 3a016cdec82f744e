"""How a ticket travels, and which Origin is ours."""

from __future__ import annotations

import pytest
from django.conf import settings
from hypothesis import given
from hypothesis import strategies as st

from dashboard.consoles.admission import same_origin
from dashboard.consoles.refusals import Refused
from dashboard.consoles.tickets import Ticket, redeem, token_of


@pytest.mark.parametrize(
    ("header", "token"),
    [
        ("binary, ticket.abc", "abc"),
        ("binary,ticket.abc", "abc"),
        ("ticket.abc, binary", "abc"),
        ("ticket.abc", ""),
        ("binary", ""),
        ("", ""),
        ("binary, ticket.a, ticket.b", ""),
        ("binary, ticket.", ""),
    ],
)
def test_the_token_is_read_from_the_offered_protocols(header: str, token: str) -> None:
    assert token_of(header) == token


@given(st.text(max_size=80))
def test_what_is_no_token_is_refused_before_anybody_is_asked(text: str) -> None:
    """No Redis runs here: a look-up would raise another error."""
    with pytest.raises(Refused, match="malformed"):
        redeem(text if len(text) != 43 else text + "x", session_key="k", kind="vnc")


@pytest.mark.parametrize(
    "origins",
    [
        [],
        [""],
        ["null"],
        ["http://evil.example"],
        [settings.PUBLIC_URL.replace("http://", "https://")],
        [settings.PUBLIC_URL + "1"],
        [settings.PUBLIC_URL + "/"],
        [settings.PUBLIC_URL, settings.PUBLIC_URL],
        [settings.PUBLIC_URL + ", http://evil.example"],
    ],
)
def test_only_the_public_address_is_our_origin(origins: list[str]) -> None:
    assert not same_origin(origins)
    assert same_origin([settings.PUBLIC_URL])


@pytest.mark.parametrize(
    ("permission", "view_only", "writes"),
    [("guest.console", False, True), ("guest.console", True, False), ("guest.watch", False, False), ("", False, False)],
)
def test_only_who_may_work_there_and_wants_to_writes(permission: str, view_only: bool, writes: bool) -> None:
    """The processes look at the permission, too: a ticket that forgot to say "view only" gives nothing more."""
    ticket = Ticket(1, "", 1, "", "serial", permission, view_only)
    assert ticket.may_write is writes
