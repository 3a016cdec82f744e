"""Secrets made on the first run: each a file of mode 0600 in the state folder."""

from __future__ import annotations

import os
from pathlib import Path
from secrets import token_urlsafe


def read_or_make(path: Path, make: object = None) -> str:
    """The secret in `path`; a missing one is made (128 bits and more) and written with mode 0600.

    Two processes that start at once agree: the file appears whole by a hard link, and the loser reads the winner's.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = path.with_name(f".{path.name}.{os.getpid()}")
        value = make() if callable(make) else token_urlsafe(48)
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(str(value))
        try:
            os.link(fresh, path)
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
    return path.read_text(encoding="utf-8").strip()


def replace(path: Path, value: str, *, shared: bool = False) -> None:
    """Put another value in the place of the secret in `path`: a reader finds the one or the other, whole.

    `shared`: the group that may read the old one may read the new one.
    """
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        if shared and path.exists():
            belong_like(fresh, path)
        file.write(value)
        file.flush()
        os.fsync(descriptor)
    fresh.replace(path)


def belong_like(fresh: Path, old: Path) -> None:
    """Give a new file the owner, group and mode of the one that it replaces; nothing to others in any case."""
    before = old.stat()
    os.chown(fresh, before.st_uid, before.st_gid)
    fresh.chmod(before.st_mode & 0o660)
