"""`manage.py doctor` works on a machine where nothing is there yet, and names what is broken with the way to mend it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def state() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="kvmweb-doctor-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder)


def doctor(state: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = f"127.0.0.1:{probe.getsockname()[1]}"
    environ = {name: value for name, value in os.environ.items() if not name.startswith("KVMWEB_")}
    environ |= {"KVMWEB_STATE_DIR": str(state), "KVMWEB_LISTEN": free, "KVMWEB_LOCAL_HOST": "0", **settings}
    argv = [sys.executable, "manage.py", "doctor"]
    return subprocess.run(argv, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60)


def test_a_machine_where_kvmweb_never_ran_is_not_broken(state: Path) -> None:
    asked = doctor(state)
    assert asked.returncode == 0, asked.stdout + asked.stderr
    assert "There is no database yet" in asked.stdout
    assert "kvmweb is not running" in asked.stdout
    assert not (state / "kvmweb.sqlite3").exists()


def test_a_secret_that_others_can_read_is_broken(state: Path) -> None:
    doctor(state)
    secret = state / "secrets" / "django"
    secret.chmod(0o644)
    asked = doctor(state)
    assert asked.returncode == 1
    assert f"chmod 600 {secret}" in asked.stdout


def test_a_taken_port_is_broken(state: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        asked = doctor(state, KVMWEB_LISTEN=taken)
    assert asked.returncode == 1
    assert "set KVMWEB_LISTEN to another port" in asked.stdout


def test_a_redis_of_ones_own_that_is_silent_is_broken(state: Path) -> None:
    asked = doctor(state, KVMWEB_REDIS_URL=f"unix://{state}/nobody.sock")
    assert asked.returncode == 1
    assert "Redis does not answer" in asked.stdout
    assert "correct KVMWEB_REDIS_URL" in asked.stdout


def test_a_libvirt_that_is_silent_is_broken_where_its_socket_was_named(state: Path) -> None:
    asked = doctor(state, KVMWEB_LOCAL_HOST="1", KVMWEB_LIBVIRT_SOCKET=f"{state}/nobody.sock")
    assert asked.returncode == 1
    assert "This machine's libvirt does not answer" in asked.stdout


def test_a_database_of_an_older_version_is_broken(state: Path) -> None:
    (state / "kvmweb.sqlite3").touch(mode=0o600)
    asked = doctor(state)
    assert asked.returncode == 1
    assert "manage.py migrate" in asked.stdout


def test_nonsense_in_the_settings_is_one_sentence(state: Path) -> None:
    asked = doctor(state, KVMWEB_LISTEN="somewhere")
    assert asked.returncode == 1
    assert asked.stderr.strip() == "KVMWEB_LISTEN: give an address and a port, like 127.0.0.1:8000 or [::1]:8000"
