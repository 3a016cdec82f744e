"""How a ticket travels, and which Origin is ours."""

from __future__ import annotations

import pytest
from django.conf import settings
from hypothesis import given
from hypothesis import strategies as st

from dashboard.consoles.admission import same_origin
from dashboard.consoles.refusals import Refused
from dashboard.consoles.tickets import redeem, token_of


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
