"""A real guest's screen through our gateway (with ticket, and through nginx), stock websockify, and directly."""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.measure import BenchError, Run, children, cpu_seconds, middle, percentile, process
from tests.bench.report import Figure, figure
from tests.bench.rfb import Plain, Screen, Stream, WebSocket
from tests.bench.world import World, socket_path, world
from tests.lab import guests
from tests.lab.hosts import run as run_command
from tests.lab.hosts import wait_for

CLONE_NEWNET = 0x40000000
MIB = 1 << 20


@dataclass
class Way:
    """One way to the screen."""

    open: Callable[[], Stream]
    carriers: Callable[[], list[int]]
    """The processes that carry its bytes."""
    pace: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    echo: list[float] = field(default_factory=list)
    opened: list[float] = field(default_factory=list)


def measure(run: Run) -> list[Figure]:
    """All ways in turn, some times over."""
    place = world(run)
    image = run.folder / "screen.raw"
    run_command(Path(__file__).with_name("build-screen.sh"), image)
    guest = guests.define(place.host, "bench-screen", image=image, start=True)
    place.wait_for_state(guest.uuid, "running")
    port = 5900 + int(guest.virsh("vncdisplay").rpartition(":")[2])
    with contextlib.ExitStack() as ending:
        ending.callback(guest.remove)
        ways = {
            "direct TCP": Way(lambda: Plain(dial_inside(place.host.pid, port)), list),
            "stock websockify": stock(run, ending, place, port),
            "our gateway": ours(place, guest.uuid, through_nginx=False),
            "our gateway through nginx": ours(place, guest.uuid, through_nginx=True),
        }
        wait_for_graphics(ways["direct TCP"])
        for lap in range(run.times(5, 2) + 1):
            for way in ways.values():
                look(way, seconds=0.5 if not lap else run.times(3, 1), echoes=10 if not lap else 100, keep=bool(lap))
    return figures(ways)


def wait_for_graphics(way: Way) -> None:
    """Until the boot sector has switched the screen to 800 × 600."""

    def big() -> bool:
        screen = Screen(way.open())
        screen.close()
        return (screen.width, screen.height) == (800, 600)

    wait_for(big, seconds=30, every=0.3, saying="the guest's screen has 800 × 600")


def look(way: Way, *, seconds: float, echoes: int, keep: bool) -> None:
    """One session: open, echoes, pictures for some seconds."""
    began = time.perf_counter()
    screen = Screen(way.open())
    opened = time.perf_counter() - began
    took = []
    for _ in range(echoes):
        asked = time.perf_counter()
        screen.ask_for_acknowledgement()
        took.append((time.perf_counter() - asked) * 1000)
    carriers = way.carriers()
    before, began, carried = cpu_seconds(*carriers), time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        carried += screen.picture()
    spent, passed = cpu_seconds(*carriers) - before, time.perf_counter() - began
    screen.close()
    if keep:
        way.pace.append(carried / MIB / passed)
        way.cpu.append(spent * 1000 / (carried / MIB))
        way.echo += took
        way.opened.append(opened * 1000)


def figures(ways: dict[str, Way]) -> list[Figure]:
    """Ours beside stock websockify's; direct TCP as the floor of both."""
    direct, stock_, own, front = ways.values()
    rows = []
    for name, way in list(ways.items())[1:]:
        start, paced = f"console, {name}", "floor: direct TCP; QEMU paces all of them" if way is stock_ else ""
        tail = f"p99 {percentile(way.echo, 0.99):.1f} beside {percentile(direct.echo, 0.99):.1f} ms"
        rows.append(figure(f"{start}: pictures", middle(way.pace), "MiB/s", floor=middle(direct.pace), note=paced))
        rows.append(figure(f"{start}: echo p50", middle(way.echo), "ms", floor=middle(direct.echo), note=tail))
    for name, way in (("our gateway", own), ("our gateway through nginx", front)):
        start = f"console, {name} beside stock websockify"
        rows.append(figure(f"{start}: CPU", middle(way.cpu), "ms/MiB", floor=middle(stock_.cpu)))
        rows.append(figure(f"{start}: echo p50", middle(way.echo), "ms", floor=middle(stock_.echo)))
    start, opened = "console, our gateway beside stock websockify: opening", middle(own.opened)
    free = "with its ticket; stock websockify asks nobody"
    return [*rows, figure(start, opened, "ms", floor=middle(stock_.opened), note=free)]


def ours(place: World, uuid: str, *, through_nginx: bool) -> Way:
    """The product's way: a ticket for each session, then the gateway, which finds the display by libvirt."""
    http = place.connect()

    def open_() -> Stream:
        body = {"host": place.host_id, "uuid": uuid, "kind": "vnc", "view_only": False}
        status, said = place.request(http, "POST", "/consoles/ticket/", body)
        http.close()
        if status != 200:
            raise BenchError(f"no ticket: {status} {said}")
        headers = {
            "Host": place.authority, "Origin": place.stack.url, "Cookie": f"kvmweb={place.session}",
            "Sec-WebSocket-Protocol": f"binary, ticket.{said['ticket']}",
        }  # fmt: skip
        if through_nginx:
            host, _, port = place.authority.partition(":")
            return WebSocket(socket.create_connection((host, int(port))), said["path"], headers)
        return WebSocket(dial_unix(socket_path(place, "console.sock")), said["path"], headers)

    def carriers() -> list[int]:
        parent = place.process("console_gateway")
        front = place.process("nginx: worker")
        return [parent, *children(parent), *([front] if through_nginx else [])]

    return Way(open_, carriers)


def stock(run: Run, ending: contextlib.ExitStack, place: World, port: int) -> Way:
    """websockify as pip installs it, in the host's network, on a UNIX socket like ours."""
    path = run.folder / "stock.sock"
    program = Path(sys.executable).with_name("websockify")
    argv = [
        "nsenter",
        "-t",
        str(place.host.pid),
        "-n",
        sys.executable,
        str(program),
        "--unix-listen",
        str(path),
        f"127.0.0.1:{port}",
    ]
    with (run.folder / "stock.log").open("wb") as log:
        started = ending.enter_context(process(argv, stdout=log, stderr=log))
    wait_for(path.exists, saying="stock websockify listens")
    headers = {"Host": "localhost", "Origin": "http://localhost", "Sec-WebSocket-Protocol": "binary"}
    return Way(lambda: WebSocket(dial_unix(path), "/", headers), lambda: [started.pid, *children(started.pid)])


def dial_unix(path: Path) -> socket.socket:
    """Connect to a UNIX socket."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.connect(str(path))
    return sock


def dial_inside(pid: int, port: int) -> socket.socket:
    """Connect to a loopback port of the network that a process lives in: from a thread that moves there and ends."""
    libc = ctypes.CDLL(None, use_errno=True)
    found: list[socket.socket] = []

    def dial() -> None:
        inside = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            if libc.setns(inside, CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
            found.append(socket.create_connection(("127.0.0.1", port), timeout=20))
        finally:
            os.close(inside)

    thread = threading.Thread(target=dial)
    thread.start()
    thread.join()
    if not found:
        raise BenchError(f"nothing listens on port {port} of the host")
    found[0].setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return found[0]
