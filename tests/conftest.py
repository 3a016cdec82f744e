"""What every test run needs: private places set before Django reads its settings, and the fixtures of the lab."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

import django
import pytest

from tests.lab import database

STATE = Path(tempfile.mkdtemp(prefix="kvmweb-test-"))
(STATE / "run").mkdir()
_PID = os.getpid()


def _forget_state() -> None:
    if os.getpid() == _PID:  # not in a fork of ours
        shutil.rmtree(STATE, ignore_errors=True)


atexit.register(_forget_state)

_kind = os.environ.get("KVMWEB_TEST_DATABASE", "")
for _name in [name for name in os.environ if name.startswith("KVMWEB_")]:
    del os.environ[_name]  # a developer's own installation must not leak into a test, nor a test into it
os.environ |= {
    "DJANGO_SETTINGS_MODULE": "kvmweb.settings",
    "KVMWEB_STATE_DIR": str(STATE),
    "KVMWEB_REDIS_URL": f"unix://{STATE}/run/redis.sock",
    "KVMWEB_LOCAL_HOST": "0",
    "KVMWEB_DATABASE_URL": database.begin(_kind),
    "KVMWEB_TEST_DATABASE": _kind,
}
os.environ.pop("LIBVIRT_DEFAULT_URI", None)

django.setup()

from tests.lab.audit import let_flush

let_flush()

pytest_plugins = ["tests.lab.fixtures"]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes() -> None:
    """Workers inherit our environment: with the name of the settings in it they would read them, and with them our places,
    before this file has given each its own."""
    os.environ.pop("DJANGO_SETTINGS_MODULE", None)
