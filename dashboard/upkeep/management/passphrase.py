"""The passphrase of a backup: read from a file, because command lines can be seen by others."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

SHORTEST = 12


def add_argument(parser: ArgumentParser) -> None:
    """`--passphrase-file FILE`."""
    parser.add_argument(
        "--passphrase-file", type=Path, help="file whose first line is the passphrase that seals the backup"
    )


def passphrase_of(options: dict[str, Any]) -> str:
    """The passphrase that was given; "" for none."""
    path: Path | None = options["passphrase_file"]
    if path is None:
        return ""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{path} cannot be read: {error}") from error
    passphrase = lines[0].strip() if lines else ""
    if len(passphrase) < SHORTEST:
        raise CommandError(f"The first line of {path} is not a passphrase of at least {SHORTEST} characters.")
    return passphrase
