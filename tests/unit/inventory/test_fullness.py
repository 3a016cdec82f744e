"""What counts as full, what as nearly full, and what as an error of ours."""

from __future__ import annotations

import shutil
import sqlite3
from collections import namedtuple
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest
import redis
from django.db import DataError, IntegrityError, InterfaceError, OperationalError

from dashboard.inventory import bus, fullness

Usage = namedtuple("Usage", "total used free")
GIB = 2**30


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.fixture(autouse=True)
def _forget(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(fullness, "_met", {"at": -1e9, "detail": ""})
    monkeypatch.setattr(fullness, "_known", (-1e9, ()))
    yield
    with suppress(bus.BusError):  # where some other test has started a Redis
        bus.client().delete(fullness.TOLD)


@pytest.mark.parametrize(
    "error",
    [
        caused(OperationalError("database or disk is full"), sqlite3.OperationalError()),
        caused(OperationalError("could not extend file: No space left on device"), psycopg.errors.DiskFull()),
        redis.exceptions.OutOfMemoryError("command not allowed when used memory > 'maxmemory'."),
        redis.ResponseError("MISCONF Redis is configured to save RDB snapshots, but it's unable to persist to disk."),
    ],
)
def test_errors_that_say_full(error: Exception) -> None:
    assert fullness.is_full(error)


@pytest.mark.parametrize(
    "error",
    [
        caused(OperationalError("database is locked"), sqlite3.OperationalError()),
        caused(OperationalError("no such table: jobs_job"), sqlite3.OperationalError()),
        caused(DataError("out of range"), psycopg.errors.NumericValueOutOfRange()),
        redis.ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value"),
        redis.ConnectionError("Connection refused"),
        OSError(28, "No space left on device"),
        None,
    ],
)
def test_errors_that_say_something_else(error: Exception | None) -> None:
    assert not fullness.is_full(error)


def test_a_lock_or_an_outage_passes_and_a_missing_table_does_not() -> None:
    assert fullness.passes(caused(OperationalError("database is locked"), sqlite3.OperationalError()))
    assert fullness.passes(InterfaceError("connection already closed"))
    assert not fullness.passes(caused(OperationalError("no such table: jobs_job"), sqlite3.OperationalError()))
    assert not fullness.passes(caused(IntegrityError("UNIQUE"), sqlite3.IntegrityError()))


@pytest.mark.parametrize(
    ("usage", "full", "text"),
    [
        (Usage(100 * GIB, 99 * GIB, 8 * 2**20), True, fullness.DISK_FULL),
        (Usage(100 * GIB, 97 * GIB, 3 * GIB), False, fullness.DISK_LOW),
        (Usage(1000 * GIB, 990 * GIB, 10 * GIB), None, ""),  # 1 %, and yet plenty
        (Usage(100 * GIB, 40 * GIB, 60 * GIB), None, ""),
    ],
)
def test_a_disk_is_full_nearly_full_or_neither(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, usage: Usage, full: bool | None, text: str
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    found = fullness._disk("disk", tmp_path, fullness.RESERVE, fullness.DISK_FULL)
    assert (found.full if found else None, found.text if found else "") == (full, text)


@pytest.mark.django_db
def test_an_error_is_believed_until_a_write_goes_through() -> None:
    assert fullness.met(caused(OperationalError("database or disk is full"), sqlite3.OperationalError()))
    # The database of this test takes writes, but inside its transaction nothing is tried.
    assert [trouble.what for trouble in fullness.full()] == ["database"]


@pytest.mark.django_db(transaction=True)
def test_a_database_that_takes_writes_again_is_not_full_any_more() -> None:
    fullness.met(caused(OperationalError("database or disk is full"), sqlite3.OperationalError()))
    assert fullness.full() == []
    assert fullness.look() == ()
