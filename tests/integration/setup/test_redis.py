"""The private Redis as the Procfile starts it: one socket for its own user, no port, nothing on disk (WEB-7)."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.lab.hosts import wait_for

ROOT = Path(__file__).resolve().parents[3]
NOBODY = 65534


@pytest.fixture
def running() -> Iterator[tuple[Path, int]]:
    """Its socket and process."""
    place = Path(tempfile.mkdtemp(dir="/tmp"))
    run, log = place / "run", place / "log"
    for folder in (run, log):
        folder.mkdir()
    place.chmod(0o755)  # so that it is the socket that keeps others out
    line = next(line for line in (ROOT / "Procfile").read_text().splitlines() if line.startswith("redis:"))
    words = line.replace("$KVMWEB_RUN_DIR", str(run)).replace("$KVMWEB_LOG_DIR", str(log))
    argv = shlex.split(words.partition("redis-server ")[2])
    process = subprocess.Popen(["redis-server", *argv])
    try:
        wait_for((run / "redis.sock").exists, saying="its socket")
        yield run / "redis.sock", process.pid
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(place)


def test_nobody_else_on_the_machine_reaches_it(running: tuple[Path, int]) -> None:
    path, _pid = running
    assert path.stat().st_mode & 0o777 == 0o700
    assert redis.Redis(unix_socket_path=str(path)).ping()
    argv = ["redis-cli", "-s", str(path), "ping"]
    other = subprocess.run(argv, user=NOBODY, group=NOBODY, capture_output=True, text=True, check=False)
    assert "PONG" not in other.stdout
    assert "Permission denied" in other.stdout + other.stderr


def test_it_listens_on_no_port(running: tuple[Path, int]) -> None:
    _path, pid = running
    open_files = [str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()]
    sockets = {name.partition("[")[2].rstrip("]") for name in open_files if name.startswith("socket:")}
    for table in ("tcp", "tcp6"):
        lines = Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]
        assert not sockets & {line.split()[9] for line in lines}


def test_it_keeps_nothing_on_disk(running: tuple[Path, int]) -> None:
    path, _pid = running
    client = redis.Redis(unix_socket_path=str(path), decode_responses=True)
    client.set("secret", "x" * 1000)
    assert client.config_get("save") == {"save": ""}
    assert client.config_get("appendonly") == {"appendonly": "no"}
    assert not [file for file in path.parent.iterdir() if file != path]
