"""Processes whose wall clock is wrong, and may be set while they run."""

from __future__ import annotations

import struct
from pathlib import Path

from tests.lab.guests import cached
from tests.lab.hosts import HERE, run


class WrongClock:
    """A clock that is off by some seconds; `env` is for the processes that are to believe it."""

    def __init__(self, folder: Path, seconds: int) -> None:
        self._file = folder / f"clock{seconds:+d}"
        self.set(seconds)
        self.env = {"LD_PRELOAD": str(_library()), "WRONG_CLOCK": str(self._file)}

    def set(self, seconds: int) -> None:
        """Be off by so many seconds from now on."""
        with self._file.open("r+b" if self._file.exists() else "wb") as file:
            file.write(struct.pack("=q", seconds))


def _library() -> Path:
    """Built once; no tool of the distribution leaves alone the clocks by which Python waits."""

    def build(folder: Path) -> None:
        run("cc", "-O2", "-shared", "-fPIC", "-o", folder / "wrongclock.so", HERE / "wrongclock.c")

    return cached("wrongclock", ["wrongclock.c"], build) / "wrongclock.so"
