"""What all parts share: clocks of other processes, medians, helper processes that are ended, and one run's settings."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


class BenchError(Exception):
    """A measurement that could not be made; the run goes on with the next part and fails at the end."""


@dataclass
class Run:
    """One run: how thorough it is, where it may write, and what must be ended with it."""

    quick: bool
    folder: Path
    peer: dict[str, str] = field(default_factory=dict)
    """Another panel to stand beside, if there is one: URL, USER, PASSWORD, SOCKET."""
    ending: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def times(self, thorough: int, quick: int) -> int:
        """How often to repeat."""
        return quick if self.quick else thorough


def say(text: str) -> None:
    """A line for the person who waits."""
    print(f"  {text}", file=sys.stderr, flush=True)


def cpu_seconds(*pids: int) -> float:
    """CPU time that processes have used so far, all their threads, to the nanosecond."""
    return sum(time.clock_gettime((~pid << 3) | 2) for pid in pids)  # the kernel's own clock of another process


def children(pid: int) -> list[int]:
    """Processes below one, however deep."""
    found: list[int] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in map(int, path.read_text().split()):
                found += [child, *children(child)]
    return found


def pss(pid: int, kind: str = "Pss") -> float:
    """Proportional set size in MB (10^6 bytes), or only its "Pss_Anon"; 0 for a process that has gone."""
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0.0
    found = re.search(rf"^{kind}:\s+(\d+) kB", rollup, re.MULTILINE)
    return int(found.group(1)) * 1024 / 1e6 if found else 0.0


def command(pid: int) -> str:
    """A process's command line; "" when it has gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` of all do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(share * (len(ordered) - 1)))]


def middle(values: Sequence[float]) -> float:
    """The median."""
    if not values:
        raise BenchError("nothing was measured")
    return statistics.median(values)


@contextlib.contextmanager
def process(
    argv: Sequence[str], *, env: dict[str, str] | None = None, **options: Any
) -> Iterator[subprocess.Popen[Any]]:
    """A process that is ended with the block."""
    options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "cwd": ROOT} | options
    started = subprocess.Popen(list(argv), env=env, **options)
    try:
        yield started
    finally:
        started.terminate()
        try:
            started.wait(15)
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait()


class Helper:
    """A helper process of ours that is told one JSON line and answers one; what it says unasked is left to `said`."""

    def __init__(self, run: Run, module: str, *argv: str, env: dict[str, str] | None = None) -> None:
        self._process: subprocess.Popen[str] = run.ending.enter_context(
            process(
                [sys.executable, "-m", f"tests.bench.{module}", *argv],
                env=env,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                bufsize=1,
            )
        )
        self.hear()  # it is ready

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def hear(self) -> Any:
        """Its next line."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise BenchError(f"a helper ended: {self._process.args}")
        return json.loads(line)

    def tell(self, *words: Any) -> Any:
        """Tell it something; its answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(words) + "\n")
        return self.hear()


def answer(value: Any) -> None:
    """In a helper: say one line."""
    print(json.dumps(value), flush=True)


class UnixHttp(http.client.HTTPConnection):
    """HTTP over a UNIX socket, one connection for many requests."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=60)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(60)
        self.sock.connect(str(self.path))


def clean_environment() -> dict[str, str]:
    """This process's environment without any kvmweb setting."""
    return {name: value for name, value in os.environ.items() if not name.startswith("KVMWEB_")}
