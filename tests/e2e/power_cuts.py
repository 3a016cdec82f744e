"""Power cuts by the dice: creates begin, some are cancelled, anything dies at any moment, and all must still be true."""

from __future__ import annotations

import http.client
import http.cookiejar
import json
import os
import random
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests.e2e.stack import ROOT, Stack
from tests.e2e.survival import FINAL, MARKS, SlowDisks, Truth, assert_holds, judge, pids_of, process_of
from tests.lab.hosts import LabError, wait_for

KINDS = ("everything", "stack", "libvirtd", "some", "machine")
"""What dies: our processes and libvirtd, all at once; ours alone; libvirtd; a few of ours one after another; the host."""


class Visitor:
    """Somebody who signs in and sends what the page sends, without a browser."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.cookies = http.cookiejar.CookieJar()
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.cookies))

    def sign_in(self, name: str, password: str) -> None:
        self.ask("/accounts/login/")
        self.ask("/accounts/login/", urlencode({"login": name, "password": password}).encode())
        assert any(cookie.name == "kvmweb" for cookie in self.cookies), f"{name} could not sign in"

    def ask(self, path: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
        """GET, or POST of a body; OSError where nobody answers."""
        token = next((str(cookie.value) for cookie in self.cookies if cookie.name == "kvmweb-csrf"), "")
        headers = {"X-CSRFToken": token, "Origin": self.url, "Accept": "application/json"} | headers
        request = urllib.request.Request(self.url + path, data=body, headers=headers)  # noqa: S310 - our own stack
        try:
            with self._opener.open(request, timeout=20) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()
        except http.client.HTTPException as error:
            raise OSError(f"{path}: {error!r}") from error

    def create(self, params: dict[str, Any], host: str) -> str:
        """The job's id. Asked again, it is the same job."""
        body = {"kind": "host", "key": host, "params": params}
        kind = {"Content-Type": "application/json", "Idempotency-Key": f"cut {params['name']}"}
        status, said = self.ask("/operations/guest.create/", json.dumps(body).encode(), **kind)
        if status >= 500 or (status == 409 and b"host does not answer" in said):
            raise OSError(f"{status}: {said[:200]!r}")
        assert status == 202, said
        return str(json.loads(said)["job"]["id"])


def make_administrator(stack: Stack, password: str) -> Visitor:
    """An administrator of a new installation."""
    argv = [sys.executable, "manage.py", "create_admin", "--username", "cutter", "--password-file", "-"]
    subprocess.run(argv, cwd=ROOT, env=stack.env, input=password.encode(), check=True, capture_output=True)
    visitor = Visitor(stack.url)
    visitor.sign_in("cutter", password)
    return visitor


class Cut:
    """One throw of the dice."""

    def __init__(
        self,
        seed: int,
        stack: Stack,
        truth: Truth,
        slow: SlowDisks,
        visitor: Visitor,
        kinds: tuple[str, ...] = KINDS,
    ) -> None:
        self.dice = random.Random(seed)
        self.seed, self.stack, self.truth, self.slow, self.visitor = seed, stack, truth, slow, visitor
        self.kind = self.dice.choice(kinds)
        self.host_id = str(truth.rows("SELECT id FROM inventory_host WHERE transport = 'local'")[0]["id"])
        self.wishes = [self._wish(number) for number in range(self.dice.randint(2, 5))]
        self.jobs: dict[str, str] = {}

    def _wish(self, number: int) -> dict[str, Any]:
        return {
            "name": f"cut{self.seed}-{number}",
            "source": "none",
            "vcpus": 1,
            "memory_mib": 16,
            "disk_gib": 1,
            "disk_pool": self.truth.pool,
            "disk_format": self.dice.choice(["qcow2", "raw"]),
            "virt": "qemu",
            "start_now": self.dice.random() < 0.75,
        }

    def run(self) -> str:
        """Everything happens, then everything must be true; a line that tells how it went."""
        for wish in self.wishes:  # with some, the disk is not ready before the cut
            if self.dice.random() < 0.3:
                self.slow.hold(wish["name"])
        at = time.monotonic() + self.dice.uniform(0.05, 1.6)
        self._submit(until=at)
        time.sleep(max(0.0, at - time.monotonic()))
        died = time.monotonic()
        self._strike()
        time.sleep(self.dice.uniform(0, 2))
        self._repair()
        self._let_go()
        for wish in self.wishes:  # a client that got no answer asks again, with the same key
            self._insist(wish)
        self._wait_for_ends(died)
        took = time.monotonic() - died
        rows = {name: self.truth.job(job) for name, job in self.jobs.items()}
        judge(self.truth, rows, still_running=self.kind != "machine")
        assert_holds(self.truth, within=40)
        states = " ".join(f"{row['state']}:{row['attempt']}" for row in rows.values())
        return f"seed {self.seed}: {self.kind}; {states}; all ended after {took:.1f} s"

    def _submit(self, until: float) -> None:
        for wish in self.wishes:
            if time.monotonic() > until:
                return
            with suppress(OSError):
                self.jobs[wish["name"]] = self.visitor.create(wish, self.host_id)
                if self.dice.random() < 0.25:
                    time.sleep(self.dice.uniform(0, 0.3))
                    self.visitor.ask(f"/jobs/{self.jobs[wish['name']]}/cancel/", b"")
            time.sleep(self.dice.uniform(0, 0.2))

    def _insist(self, wish: dict[str, Any]) -> None:
        def answered() -> bool:
            try:
                job = self.visitor.create(wish, self.host_id)
            except OSError:
                return False
            assert self.jobs.setdefault(wish["name"], job) == job, "asked again, it is the same job"
            return True

        wait_for(answered, seconds=40, every=0.5, saying=f"{wish['name']} is accepted:\n{self.stack.said}")

    def _let_go(self) -> None:
        for wish in self.wishes:
            self.slow.let_go(wish["name"])

    def _strike(self) -> None:
        host = self.truth.host
        if self.kind == "some":
            for victim in self.dice.sample(sorted(MARKS), self.dice.randint(1, 3)):
                with suppress(LabError):  # it may just be starting again
                    assert self.stack.process is not None
                    process_of(self.stack.process.pid, MARKS[victim]).kill()
                time.sleep(self.dice.uniform(0, 1))
            return
        if self.kind in ("everything", "stack", "machine"):
            kill_at_once(self.stack.state)
        if self.kind in ("everything", "libvirtd"):
            host.kill_libvirtd()
            self._let_go()  # qemu-img runs on without it, and takes less time than libvirtd's start
        if self.kind == "machine":
            host.crash()

    def _repair(self) -> None:
        host = self.truth.host
        if self.kind == "machine":
            host.start()
            self.slow.begin()
            self.stack.env["KVMWEB_LIBVIRT_SOCKET"] = host.socket
        if self.kind in ("everything", "libvirtd"):
            host.start_libvirtd()
        assert self.stack.process is not None
        if self.kind in ("everything", "stack", "machine"):
            self.stack.process.wait(timeout=10)
            self.stack.start()

    def _wait_for_ends(self, died: float) -> None:
        for name, job in self.jobs.items():
            look: Callable[[], tuple[str, int, Any]] = self.truth.watch(job)
            left = max(1.0, 90 - (time.monotonic() - died))
            try:
                wait_for(lambda look=look: look()[0] in FINAL, seconds=left)
            except LabError:
                raise AssertionError(f"{name} has not ended: {self.truth.job(job)}\n{self.stack.said}") from None


def kill_at_once(state: Path) -> None:
    """All processes of an installation, none of which sees another die. nginx's worker is left, as killers leave it."""
    pids = [pid for pid, line in pids_of(state).items() if not line.startswith("nginx: worker")]
    for sig in (signal.SIGSTOP, signal.SIGKILL):
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, sig)
