"""The audit log as a file: CSV that is safe to open in a spreadsheet, and JSON Lines; streamed, however long it is."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

from asgiref.sync import sync_to_async

from dashboard.jobs.audit_log import Filters, Mark, ends_of, entries, older, record_of, visible

CHUNK = 1000
"""Lines read and sent at a time."""
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""A cell that begins so is a formula to a spreadsheet."""
COLUMNS = ("at", "ended_at", "who", "action", "phase", "object_kind", "object_key", "object_name", "host", "result",
           "source_ip", "job", "detail")  # fmt: skip

Record = dict[str, Any]


def cell(value: Any) -> str:
    """One cell: never a formula, never more than one line, nothing invisible."""
    text = "" if value is None else json.dumps(value) if isinstance(value, dict) else str(value)
    return ("'" if text.startswith(FORMULA) else "") + visible(text)


def csv_text(records: Iterable[Record]) -> str:
    """Lines of a CSV file."""
    out = io.StringIO()
    writer = csv.writer(out)
    for record in records:
        writer.writerow([cell(record[name] or "") for name in COLUMNS])
    return out.getvalue()


def json_text(records: Iterable[Record]) -> str:
    """Lines of JSON; ASCII only, so that nothing in them steers a terminal."""
    return "".join(json.dumps(record) + "\n" for record in records)


FORMATS: dict[str, tuple[str, str, Callable[[Iterable[Record]], str]]] = {
    # A spreadsheet takes UTF-8 for what it is only with a byte order mark.
    "csv": ("text/csv; charset=utf-8", "\ufeff" + ",".join(COLUMNS) + "\r\n", csv_text),
    "jsonl": ("application/x-ndjson", "", json_text),
}
"""By the file's ending: its type, its first line, and how records are written."""


def chunk(filters: Filters, mark: Mark | None) -> tuple[list[Record], Mark | None]:
    """The next lines after a mark, and the mark after them; None when there are no more. Two queries."""
    lines = list(older(entries(filters), mark)[:CHUNK])
    ends = ends_of(lines)
    records = [record_of(entry, ends.get(entry.job_id) if entry.phase == "start" else None) for entry in lines]
    return records, Mark(lines[-1].at, lines[-1].pk) if len(lines) == CHUNK else None


async def stream(filters: Filters, ending: str) -> AsyncIterator[str]:
    """The file, newest line first. Every chunk goes on where the last one ended: lines that are added meanwhile are newer."""
    _type, head, write = FORMATS[ending]
    if head:
        yield head
    mark: Mark | None = None
    while True:
        records, mark = await sync_to_async(chunk)(filters, mark)
        yield write(records)
        if mark is None:
            return
