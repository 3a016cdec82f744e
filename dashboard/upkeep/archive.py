"""The file of a backup: a tar.gz with a manifest first, checked whole before anything is believed, optionally sealed."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

from dashboard.upkeep.sealed import Opener, Sealer, WrongPassphrase, is_sealed

FORMAT = 1
MANIFEST = "manifest.json"
ROWS = "database.jsonl"
SECRETS = ("secrets/django", "secrets/encryption", "secrets/hosts")
MEMBERS = (ROWS, *SECRETS)
LARGEST_MANIFEST = 1 << 20


class BadArchive(Exception):
    """Not a backup, or damaged, or it cannot be opened; the text says what to do."""


@dataclass
class Manifest:
    """What a backup says about itself."""

    version: str
    """kvmweb's."""
    made_at: str
    machine: str
    database: str
    """sqlite or postgresql; either can be restored to either."""
    migrations: dict[str, str]
    rows: dict[str, int]
    settings: dict[str, str]
    """The settings that were given; of secret ones only that they were."""
    members: dict[str, dict[str, Any]] = field(default_factory=dict)
    """name → {"size", "sha256"}."""
    format: int = FORMAT


def write(folder: Path, manifest: Manifest, target: BinaryIO, passphrase: str = "") -> None:
    """Put the folder's files with the manifest into `target`; notes their sizes and checksums in the manifest."""
    present = [name for name in MEMBERS if (folder / name).exists()]
    manifest.members = {name: _facts(folder / name) for name in present}
    sealer = Sealer(target, passphrase) if passphrase else None
    into = cast("IO[bytes]", sealer or target)
    with tarfile.open(fileobj=into, mode="w|gz") as tar:
        text = json.dumps(asdict(manifest), indent=1, sort_keys=True).encode()
        tar.addfile(_entry(MANIFEST, len(text)), io.BytesIO(text))
        for name in present:
            with (folder / name).open("rb") as file:
                tar.addfile(_entry(name, manifest.members[name]["size"]), file)
    if sealer is not None:
        sealer.close()


def _entry(name: str, size: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = size, 0o600
    return entry


def _facts(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        return {"size": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def read(source: Path, folder: Path, passphrase: str = "") -> Manifest:
    """Lay the backup's files out in `folder`, all of them checked; raises BadArchive before that is so."""
    try:
        with _opened(source, passphrase) as tar:
            manifest, found = None, set[str]()
            for entry in tar:
                if manifest is None:
                    manifest = _manifest(tar, entry)
                    _room(folder, manifest)
                    continue
                _lay_out(tar, entry, manifest, folder)
                found.add(entry.name)
    except WrongPassphrase as error:
        raise BadArchive("The passphrase is wrong, or the file is damaged.") from error
    except (tarfile.TarError, EOFError, zlib.error, ValueError, TypeError, KeyError) as error:
        raise BadArchive(f"{source} is damaged or no backup of kvmweb: {error}") from error
    if manifest is None or found != manifest.members.keys() or ROWS not in found:
        raise BadArchive(f"{source} is cut off or no backup of kvmweb.")
    return manifest


@contextmanager
def _opened(source: Path, passphrase: str) -> Iterator[tarfile.TarFile]:
    with source.open("rb") as file:
        sealed = is_sealed(file)
        if sealed and not passphrase:
            raise BadArchive("The backup is sealed: give the file with its passphrase, --passphrase-file FILE.")
        stream = cast("IO[bytes]", Opener(file, passphrase) if sealed else file)
        with tarfile.open(fileobj=stream, mode="r|gz") as tar:
            yield tar


def _manifest(tar: tarfile.TarFile, entry: tarfile.TarInfo) -> Manifest:
    if entry.name != MANIFEST or entry.size > LARGEST_MANIFEST:
        raise BadArchive("This is no backup of kvmweb: it does not begin with a manifest.")
    said = json.loads(_content(tar, entry).read())
    if said.get("format") != FORMAT:
        raise BadArchive(f"This backup has a form ({said.get('format')}) that this version of kvmweb does not know.")
    return Manifest(**said)


def _content(tar: tarfile.TarFile, entry: tarfile.TarInfo) -> IO[bytes]:
    file = tar.extractfile(entry)
    if file is None:
        raise BadArchive(f"{entry.name} is not a file.")
    return file


def _lay_out(tar: tarfile.TarFile, entry: tarfile.TarInfo, manifest: Manifest, folder: Path) -> None:
    """Copy one member, if it is one that a backup has, and compare it with what the manifest says of it."""
    expected = manifest.members.get(entry.name) if entry.name in MEMBERS else None
    if expected is None or entry.size != expected["size"]:
        raise BadArchive(f"{entry.name} is not what the manifest says.")
    path = folder / entry.name
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        shutil.copyfileobj(_content(tar, entry), file)
    if _facts(path) != expected:
        raise BadArchive(f"{entry.name} is not what it was when the backup was made: the file is damaged.")


def _room(folder: Path, manifest: Manifest) -> None:
    needed = 2 * sum(int(member["size"]) for member in manifest.members.values())
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise BadArchive(f"{folder} has room for {free >> 20} MiB, and the backup needs about {needed >> 20} MiB.")
