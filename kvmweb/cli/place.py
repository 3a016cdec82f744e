"""Where kvmweb is and who one is there: from the environment and from files that nobody else may read."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from .errors import USAGE, CommandError

FOLDER = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "kvmweb"


def url() -> str:
    """KVMWEB_URL, or the first line of ~/.config/kvmweb/url: https://…, http://… or unix:/path?host=NAME."""
    found = os.environ.get("KVMWEB_URL", "") or _line(FOLDER / "url")
    if not found:
        raise CommandError(f"Where is kvmweb? Set KVMWEB_URL, or write it into {FOLDER / 'url'}.", USAGE)
    return found.rstrip("/")


def token(file: str | None) -> str:
    """The API token: of --token-file, KVMWEB_TOKEN, or ~/.config/kvmweb/token. Never from the command line itself."""
    if file is None and os.environ.get("KVMWEB_TOKEN"):
        return os.environ["KVMWEB_TOKEN"].strip()
    path = Path(file) if file is not None else FOLDER / "token"
    try:
        open_to_others = path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)
    except OSError as error:
        said = (
            f"No token: {path}: {error.strerror}. Make one on your account's page, write it there and `chmod 600` it."
        )
        raise CommandError(said, USAGE) from error
    if open_to_others:
        raise CommandError(f"{path} can be read by others: chmod 600 {path}", USAGE)
    return _line(path)


def _line(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip().partition("\n")[0].strip()
    except OSError:
        return ""
