"""Requests to the monitor."""

from __future__ import annotations

import pytest

from dashboard.inventory.monitor import Asked, asked_by


def test_a_request_names_a_host_what_and_perhaps_an_object() -> None:
    assert asked_by('{"host":3,"what":"guest","uuid":"u"}') == Asked(3, "guest", "u")
    assert asked_by('{"host":3,"what":"all"}') == Asked(3, "all")


@pytest.mark.parametrize(
    "text", ["", "[]", "3", "null", "{}", '{"host":"x","what":"all"}', '{"host":null,"what":"all"}']
)
def test_what_is_no_request_is_passed_over(text: str) -> None:
    assert asked_by(text) is None
