"""Ends what a run left behind that was killed as a whole: nginx's worker outlives its master and keeps the port."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

PATIENCE = 5.0
"""Seconds in which a killed process goes."""


def find(log: Path) -> Iterator[int]:
    """The nginx processes that write this folder's access log."""
    wanted = str((log / "access.log").resolve())
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended meanwhile, or is another person's
            if (process / "comm").read_text(encoding="utf-8").strip() != "nginx":
                continue
            if any(str(descriptor.readlink()) == wanted for descriptor in (process / "fd").iterdir()):
                yield int(process.name)


def end(log: Path) -> None:
    """Kill them; to be called by who holds the lock of the state folder, so that none belongs to a living run."""
    until = time.monotonic() + PATIENCE
    while (left := list(find(log))) and time.monotonic() < until:
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)
