"""Prints for people: tables and figures; whatever a name holds, it does nothing to the terminal."""

from __future__ import annotations

import json
import sys
import time
import unicodedata
from collections.abc import Iterable
from typing import Any

Column = tuple[str, str]
"""Head and the row's member."""
COLUMNS: dict[str, list[Column]] = {
    "guests": [("NAME", "name"), ("STATE", "state"), ("HOST", "host_name"), ("VCPUS", "vcpus"),
               ("MEMORY", "memory_kib"), ("ADDRESSES", "addresses"), ("TAGS", "tags"), ("UUID", "uuid")],
    "hosts": [("ID", "id"), ("NAME", "name"), ("STATUS", "status"), ("CPUS", "cpus"), ("MEMORY", "memory_kib"),
              ("FREE", "memory_free_kib"), ("LAST SEEN", "last_seen")],
    "pools": [("NAME", "name"), ("STATE", "state"), ("HOST", "host_name"), ("KIND", "kind"),
              ("SIZE", "capacity"), ("USED", "allocation"), ("UUID", "uuid")],
    "networks": [("NAME", "name"), ("ACTIVE", "active"), ("HOST", "host_name"), ("FORWARD", "forward"),
                 ("SUBNETS", "subnets"), ("UUID", "uuid")],
    "jobs": [("CREATED", "created_at"), ("STATE", "state"), ("OPERATION", "operation"), ("OBJECT", "object_name"),
             ("HOST", "host_name"), ("BY", "created_by"), ("ID", "id")],
    "operations": [("NAME", "name"), ("ON", "target"), ("PERMISSION", "permission"), ("PARAMETERS", "params"),
                   ("WHAT", "label")],
}  # fmt: skip
TIMES = {"created_at", "started_at", "finished_at", "last_seen", "connected_at", "since", "expires_at", "at"}
BYTES = {"capacity", "allocation", "available"}


def plain(text: object) -> str:
    """Without control characters, which could move a terminal's cursor or colour it."""
    return "".join("?" if unicodedata.category(sign) in ("Cc", "Cf", "Cs") else sign for sign in str(text))


def plain_lines(text: str) -> str:
    """The same for a text of several lines."""
    return "\n".join(plain(line) for line in text.split("\n"))


def cell(name: str, value: Any) -> str:
    """A value as people read it."""
    if value is None or value == "" or value == []:
        return "-"
    if name in TIMES and isinstance(value, int):
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(value / 1000))
    if name in BYTES or name.endswith("_kib"):
        return size(value * (1024 if name.endswith("_kib") else 1))
    if name == "params":
        return ",".join(value.get("properties", {})) or "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return plain(",".join(str(one) for one in value))
    return plain(json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else value)


def size(number: float) -> str:
    """Bytes with a unit."""
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if abs(number) < 1024 or unit == "TiB":
            break
        number /= 1024
    return f"{number:.0f} {unit}" if unit == "B" or number >= 100 else f"{number:.1f} {unit}"


def table(kind: str, rows: Iterable[dict[str, Any]]) -> None:
    """Rows below their heads."""
    columns = COLUMNS[kind]
    lines = [[head for head, _name in columns]]
    lines += [[cell(name, row.get(name)) for _head, name in columns] for row in rows]
    widths = [max(_width(line[index]) for line in lines) for index in range(len(columns))]
    for line in lines:
        say("  ".join(_padded(text, width) for text, width in zip(line, widths, strict=True)).rstrip())


def one(row: dict[str, Any]) -> None:
    """One thing, a member a line."""
    shown = {name: value for name, value in row.items() if name != "lines"}
    width = max(len(name) for name in shown)
    for name, value in shown.items():
        say(f"{name.ljust(width)}  {cell(name, value)}")
    for line in row.get("lines", []):
        say(f"  {plain(line['at'])}  {line['level']:<7}  {plain(line['text'])}")


def as_json(value: Any) -> None:
    """For other programs."""
    say(json.dumps(value, ensure_ascii=False, indent=2))


def say(text: str) -> None:
    """A line for the caller."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def complain(text: str) -> None:
    """A line beside what is asked for."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in text)


def _padded(text: str, width: int) -> str:
    return text + " " * (width - _width(text))
