"""How a command ends: the exit codes, and the errors that carry one."""

from __future__ import annotations

DONE, FAILED, USAGE, REFUSED, UNREACHABLE, INTERRUPTED = 0, 1, 2, 3, 4, 130


class CommandError(Exception):
    """Ends the command with a sentence and an exit code."""

    def __init__(self, said: str, code: int) -> None:
        super().__init__(said)
        self.code = code
