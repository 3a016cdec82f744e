"""One installation for the tests of this folder: deploy/install on a machine with a systemd of its own."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.e2e.stack import free_port
from tests.integration.deploy.machine import Machine
from tests.lab.hosts import LabError, LabHost, wait_for
from tests.survival.visitor import Visitor

PASSWORD = "correct horse battery"


@dataclass
class Installation:
    """What deploy/install made, and what it printed."""

    machine: Machine
    url: str
    plain: str
    settings: dict[str, str]
    said: str = ""

    def install(self, *words: str) -> str:
        """Run deploy/install; what it printed."""
        argv = ("deploy/install", "--no-packages", *words)
        return self.machine.run(*argv, env=self.settings, timeout=170)

    @property
    def certificate(self) -> str:
        return self.machine.run("cat", "/etc/kvmweb/tls/certificate.pem")

    def visitor(self) -> Visitor:
        return Visitor(self.url, self.certificate)

    def redis(self, kind: str, *words: str) -> str:
        """What Redis answers to this kind of process."""
        url = self.machine.run("cat", f"/etc/kvmweb/secrets/redis-{kind}").strip()
        secret = url.removeprefix(f"unix://{kind}:").partition("@")[0]
        argv = ("redis-cli", "-s", "/run/kvmweb/redis.sock", "--no-auth-warning", "--user", kind, "--pass", secret)
        return self.machine.run(*argv, *words).strip()

    def main_pid(self, service: str) -> int:
        """The first process of a service, as the machine numbers it."""
        return int(self.machine.run("systemctl", "show", "--value", "-p", "MainPID", f"kvmweb-{service}"))


@contextmanager
def installed(
    folders: pytest.TempPathFactory, url: str, plain: str, settings: dict[str, str], *words: str
) -> Iterator[Installation]:
    """A machine on which deploy/install has been run, which is gone afterwards however it went."""
    machine = Machine(folders.mktemp("machine"))
    here = Installation(machine, url, plain, settings | {"KVMWEB_LOCAL_HOST": "0"})
    try:
        machine.boot()
        here.said = here.install(*words, url)
        yield here
    finally:
        machine.off()


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    port, plain = free_port(), free_port()
    url, plainly = f"https://127.0.0.1:{port}", f"http://127.0.0.1:{plain}"
    settings = {"KVMWEB_LISTEN": f"127.0.0.1:{port}", "KVMWEB_REDIRECT_LISTEN": f"127.0.0.1:{plain}"}
    with installed(tmp_path_factory, url, plainly, settings) as here:
        yield here


@pytest.fixture(scope="module")
def admin(installation: Installation) -> Visitor:
    """The first administrator, made through the link that the installer printed."""
    link = re.search(r"(https://\S+)(/setup/\S+)", installation.said)
    assert link is not None, installation.said
    assert link[1] == installation.url
    visitor = installation.visitor()
    visitor.ask(link[2])
    form = {"username": "root-of-all", "password": PASSWORD, "again": PASSWORD}
    visitor.ask(link[2], urlencode(form).encode())
    visitor.sign_in("root-of-all", PASSWORD)
    return visitor


@pytest.fixture(scope="module")
def enrolled(admin: Visitor, lab_host: LabHost) -> int:
    """A host behind SSH with a password, added and approved through the pages; its number."""
    form = {"name": "far", "transport": "ssh", "address": lab_host.address, "user": "root"}
    page = _posted(admin, "/hosts/new/", form | {"sign_in": "password", "password": "rootpass"})
    number = _json(admin, "/api/v1/hosts")["items"][0]["id"]

    def fingerprints() -> list[str]:
        _status, page = admin.ask(f"/hosts/{number}/")
        return re.findall(r'name="fingerprint" value="([^"]+)"', page.decode())

    found = wait_for(fingerprints, seconds=40, every=0.3, saying=f"the host's keys are shown\n{page}")
    _posted(admin, f"/hosts/{number}/approve-key/", {"fingerprint": found})
    wait_for(
        lambda: _json(admin, f"/api/v1/hosts/{number}")["status"] == "live", seconds=40, every=0.3, saying="it is live"
    )
    return int(number)


def _posted(visitor: Visitor, path: str, form: dict[str, Any]) -> str:
    visitor.ask(path)
    status, said = visitor.ask(path, urlencode(form, doseq=True).encode())
    assert status == 200, said
    return said.decode()


def _json(visitor: Visitor, path: str) -> Any:
    status, said = visitor.ask(path)
    assert status == 200, said
    return json.loads(said)


@pytest.fixture
def ask(admin: Visitor) -> Callable[[str], Any]:
    """JSON of the API, as the administrator."""
    return lambda path: _json(admin, path)


def done(ask: Callable[[str], Any], job: str) -> dict[str, Any]:
    """The job when it has ended."""
    until = time.monotonic() + 40
    while (found := ask(f"/api/v1/jobs/{job}"))["state"] in ("waiting", "queued", "running"):
        assert time.monotonic() < until, found
        time.sleep(0.2)
    return dict(found)


def well(installation: Installation) -> str:
    """What the doctor says, whether or not something is broken."""
    try:
        return installation.machine.run("kvmweb", "doctor")
    except LabError as error:
        return str(error)


def sound(installation: Installation, seconds: float = 30) -> str:
    """What the doctor says when nothing is broken any more."""
    heard = [""]

    def nothing_is_broken() -> bool:
        heard[0] = well(installation)
        return "Nothing is broken." in heard[0]

    with suppress(LabError):
        wait_for(nothing_is_broken, seconds=seconds, every=0.3)
    assert "Nothing is broken." in heard[0], heard[0]
    return heard[0]
