"""deploy/respawn keeps a process running, and leaves nothing when it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[3]
RESPAWN = ROOT / "deploy" / "respawn"


def until(true: Callable[[], object], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)


def lines(path: Path) -> list[str]:
    return path.read_text().split() if path.exists() else []


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture
def respawn(tmp_path: Path) -> Iterator[Callable[[str], subprocess.Popen[bytes]]]:
    started: list[subprocess.Popen[bytes]] = []

    def start(script: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen([RESPAWN, "sh", "-c", script, "child"], cwd=tmp_path, stdout=subprocess.PIPE)
        started.append(process)
        return process

    yield start
    for process in started:
        process.terminate()
        process.wait(timeout=12)
        assert process.stdout is not None
        process.stdout.close()


def test_a_process_that_ends_is_started_again_later_each_time(respawn: object, tmp_path: Path) -> None:
    respawn("date +%s.%N >> times")  # type: ignore[operator]
    until(lambda: len(lines(tmp_path / "times")) >= 4, 12)
    times = [float(line) for line in lines(tmp_path / "times")]
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert 0.4 < pauses[0] < 1.5
    assert pauses[0] < pauses[1] < pauses[2] < 5


def test_stopping_it_ends_the_process_and_what_that_started(respawn: object, tmp_path: Path) -> None:
    process = respawn("sleep 300 & echo $! $$ > pids; wait")  # type: ignore[operator]
    until(lambda: len(lines(tmp_path / "pids")) == 2)
    pids = [int(pid) for pid in lines(tmp_path / "pids")]
    began = time.monotonic()
    process.terminate()
    process.wait(timeout=5)
    assert time.monotonic() - began < 6  # without being killed, which comes after 8
    assert not [pid for pid in pids if alive(pid)]


def test_a_process_that_ignores_being_told_is_killed(respawn: object, tmp_path: Path) -> None:
    process = respawn("trap '' TERM; echo $$ > pids; while :; do sleep 0.2; done")  # type: ignore[operator]
    until(lambda: lines(tmp_path / "pids"))
    process.terminate()
    process.wait(timeout=12)
    assert not alive(int(lines(tmp_path / "pids")[0]))


def test_stopping_it_while_it_waits_to_start_again_leaves_no_sleeper(respawn: object, tmp_path: Path) -> None:
    process = respawn("echo x >> starts")  # type: ignore[operator]
    until(lambda: len(lines(tmp_path / "starts")) == 2)
    time.sleep(0.3)
    children = psutil.Process(process.pid).children(recursive=True)
    process.terminate()
    process.wait(timeout=5)
    # End of its output: nobody holds the pipe to honcho any more.
    assert process.stdout is not None
    process.stdout.read()
    assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]


def test_what_a_killed_process_had_started_goes_before_the_next_start(respawn: object, tmp_path: Path) -> None:
    respawn("sleep 300 & echo $! $$ >> pids; wait")  # type: ignore[operator]
    until(lambda: len(lines(tmp_path / "pids")) == 2)
    orphan, leader = (int(pid) for pid in lines(tmp_path / "pids"))
    os.kill(leader, signal.SIGKILL)
    until(lambda: len(lines(tmp_path / "pids")) == 4)
    assert not alive(orphan)


def test_everything_ends_when_the_parent_is_killed(tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"import subprocess; subprocess.run([{str(RESPAWN)!r}, 'sh', '-c', 'echo $$ > pids; sleep 300'])",
        ],
        cwd=tmp_path,
    )
    until(lambda: lines(tmp_path / "pids"))
    child = int(lines(tmp_path / "pids")[0])
    respawn = psutil.Process(parent.pid).children()[0].pid
    parent.kill()
    parent.wait()
    until(lambda: not alive(child) and not alive(respawn), 5)
