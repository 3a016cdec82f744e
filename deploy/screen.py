"""Standard output that may be full or gone: what cannot be printed is dropped, and nothing ends or waits because of it."""

from __future__ import annotations

import os
from contextlib import suppress


class Screen:
    """As much of a file as honcho's printer needs. No buffer: what a full disk refused would be tried again for ever."""

    def write(self, text: str) -> int:
        """Print what can be printed."""
        with suppress(OSError):
            os.write(1, text.encode(errors="replace"))
        return len(text)

    def flush(self) -> None:
        """Nothing waits."""

    def isatty(self) -> bool:
        """Whether colours make sense."""
        return os.isatty(1)


SCREEN = Screen()
