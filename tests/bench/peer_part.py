"""WebVirtCloud beside kvmweb on the same libvirt, where somebody has set one up: docs/benchmarks.md says how."""

from __future__ import annotations

import contextlib
import html
import json
import re
import secrets
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import libvirt
from lxml import etree
from lxml.builder import E

from tests.bench import fleet
from tests.bench.measure import BenchError, Helper, Run, middle, percentile, say
from tests.bench.report import Figure, figure
from tests.bench.seeding import seed
from tests.bench.visitor import Visitor
from tests.bench.world import ask
from tests.e2e.stack import Stack
from tests.lab.hosts import wait_for

GUESTS, FEW_GUESTS = 200, 20
PREFIX = "kvmweb-bench-"
OURS, THEIRS = "kvmweb", "WebVirtCloud"
THEIR_LIST = "/instances/"
THEIR_SIGN_IN = "/accounts/login/"


@dataclass
class Both:
    """Two panels, one libvirt, and those who change and hear without either."""

    ours: Visitor
    theirs: Visitor
    csrf: str
    host_id: int
    actor: Helper
    listener: Helper

    def started(self, uuid: str, since: float) -> float:
        """Milliseconds until libvirt's own event said that the guest runs."""
        heard = float(self.listener.tell("wait", uuid, "started", since))
        if not heard:
            raise BenchError(f"{uuid} did not start")
        return (heard - since) * 1000

    def start_ours(self, uuid: str) -> float:
        """By our button."""
        body = json.dumps({"kind": "guest", "key": uuid, "host": str(self.host_id), "params": {}})
        headers = {"Content-Type": "application/json", "X-CSRFToken": self.csrf, "Origin": self.ours.url}
        began = time.time()
        answer = self.ours.ask("POST", "/operations/guest.start/", body, headers)
        if answer.status != 202:
            raise BenchError(f"start was refused: {answer.status} {answer.body!r}")
        return self.started(uuid, began)

    def start_theirs(self, uuid: str, path: str) -> float:
        """By their button, which is a form."""
        fields = {"csrfmiddlewaretoken": self.theirs.cookies.get("csrftoken", "")}
        began = time.time()
        answer = self.theirs.post_form(f"{path}poweron/", fields)
        if answer.status >= 400:
            raise BenchError(f"{THEIRS} refused the start: {answer.status}")
        return self.started(uuid, began)


def measure(run: Run) -> list[Figure]:
    """Nothing without a peer, and it says so."""
    if missing := [name for name in ("URL", "USER", "PASSWORD", "SOCKET") if not run.peer.get(name)]:
        names = ", ".join(f"BENCH_PEER_{name}" for name in missing)
        say(f"        left out: there is no WebVirtCloud here ({names} not set; see docs/benchmarks.md)")
        return []
    count = run.times(GUESTS, FEW_GUESTS)
    with contextlib.ExitStack() as ending:
        uuids = ending.enter_context(defined(run.peer["SOCKET"], count))
        both = stage(run, ending, count)
        paths = their_paths(both.theirs, list(uuids))
        rows = lists(both, run.times(11, 3), count)
        return rows + starts(both, uuids, paths, run.times(7, 2))


@contextlib.contextmanager
def defined(socket: str, count: int) -> Iterator[dict[str, str]]:
    """Guests that are off, by name, until the end; what else that libvirt has stays as it is."""
    conn = libvirt.open(f"qemu+unix:///system?socket={socket}")
    made: dict[str, Any] = {}
    try:
        for number in range(count):
            domain = conn.defineXML(etree.tostring(small(number), encoding="unicode"))
            made[domain.name()] = domain
        yield {name: domain.UUIDString() for name, domain in made.items()}
    finally:
        for domain in made.values():
            if domain.isActive():
                domain.destroy()
            domain.undefine()
        conn.close()


def small(number: int) -> Any:
    """32 MiB, one vCPU, a serial line, no disk: what the peer can show without faults of its own."""
    return E.domain(
        E.name(f"{PREFIX}{number:03}"), E.uuid(fleet.identity(1_000_000 + number)), E.memory("32", unit="MiB"), E.vcpu("1"),
        E.os(E.type("hvm", arch="x86_64", machine="pc")), E.devices(E.console(type="pty")), type="qemu",
    )  # fmt: skip


def stage(run: Run, ending: contextlib.ExitStack, count: int) -> Both:
    """Our stack on that libvirt, both signed in, both lists warm."""
    socket = run.peer["SOCKET"]
    stack = Stack(socket)
    ending.callback(stack.stop)
    stack.start()
    csrf = secrets.token_hex(16)
    ours = Visitor(stack.url, {"kvmweb": seed(stack.env, "session"), "kvmweb-csrf": csrf})
    ending.callback(ours.close)
    theirs = sign_in(run.peer)
    ending.callback(theirs.close)
    known = "SELECT count(*) FROM inventory_guest WHERE name LIKE ?"
    wait_for(lambda: ask(stack, known, f"{PREFIX}%")[0][0] == count, seconds=60, saying="our mirror holds the guests")
    host_id = int(ask(stack, "SELECT host_id FROM inventory_guest WHERE name LIKE ?", f"{PREFIX}%")[0][0])
    for _ in range(3):  # their first list puts new guests into their database, and does not show them yet
        theirs.get(THEIR_LIST)
        ours.get("/guests/")
    actor, listener = Helper(run, "bystander", "act", socket), Helper(run, "bystander", "listen", socket)
    return Both(ours, theirs, csrf, host_id, actor, listener)


def sign_in(peer: dict[str, str]) -> Visitor:
    """Their form, as a browser sends it."""
    theirs = Visitor(peer["URL"], patience=180)
    form = theirs.get(THEIR_SIGN_IN).body.decode()
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', form)
    if not token:
        raise BenchError(f"{peer['URL']}{THEIR_SIGN_IN} has no form to sign in with")
    fields = {"username": peer["USER"], "password": peer["PASSWORD"], "csrfmiddlewaretoken": token[1]}
    if theirs.post_form(THEIR_SIGN_IN, fields).status != 302:
        raise BenchError(f"{THEIRS} does not let {peer['USER']} in")
    return theirs


def their_paths(theirs: Visitor, names: list[str]) -> dict[str, str]:
    """The page of each guest, from the links of their list."""
    page = theirs.get(THEIR_LIST).body.decode()
    links = re.findall(r'href="(/instances/\d+/)"[^>]*>\s*([^<]+?)\s*<', page)
    found = {html.unescape(name): path for path, name in links}
    if missing := [name for name in names if name not in found]:
        raise BenchError(f"{THEIRS} does not show {missing[0]}: has its host been added, with the same libvirt?")
    return found


def lists(both: Both, laps: int, count: int) -> list[Figure]:
    """Both lists, in turn."""
    took: dict[str, list[float]] = defaultdict(list)
    size: dict[str, int] = {}
    for _ in range(laps):
        for name, visitor, path in ((OURS, both.ours, "/guests/"), (THEIRS, both.theirs, THEIR_LIST)):
            answer = visitor.get(path)
            took[name].append(answer.ms)
            size[name] = len(answer.body)
    bytes_ = f"{laps} laps; {size[OURS]:,} and {size[THEIRS]:,} bytes; ours is one page of 50 rows, theirs is all"
    return [figure(f"list of {count} guests, beside {THEIRS}", middle(took[OURS]), "ms", floor=middle(took[THEIRS]), note=bytes_)]  # fmt: skip


def starts(both: Both, uuids: dict[str, str], paths: dict[str, str], laps: int) -> list[Figure]:
    """The same guests started by both, in turn."""
    took: dict[str, list[float]] = defaultdict(list)
    for name in sorted(uuids)[:laps]:
        for who in (OURS, THEIRS):
            uuid = uuids[name]
            spent = both.start_ours(uuid) if who == OURS else both.start_theirs(uuid, paths[name])
            took[who].append(spent)
            both.actor.tell("destroy", uuid)
            time.sleep(1)
    tail = f"{laps} guests; p95 {percentile(took[OURS], 0.95):.0f} and {percentile(took[THEIRS], 0.95):.0f} ms"
    return [figure(f"start until running, beside {THEIRS}", middle(took[OURS]), "ms", floor=middle(took[THEIRS]), note=tail)]  # fmt: skip
