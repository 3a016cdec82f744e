"""The same mirror as the guests' tests, seen from the start page."""

from __future__ import annotations

from tests.unit.guests.conftest import (  # noqa: F401 - fixtures are found by their names
    browser,
    host,
    operator,
    plain_names_of_static_files,
    viewer,
    watcher,
)
