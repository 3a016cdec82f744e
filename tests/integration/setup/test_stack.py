"""`make run`'s last part, on a state folder and port of its own: everything starts, heals, and is gone afterwards."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from deploy import stack as launcher
from tests.lab import database

ROOT = Path(__file__).resolve().parents[3]
READY = re.compile(r"kvmweb is ready: (\S+)/\n")
START_SECONDS = 60


def until(true: Callable[[], object], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"waited too long until {what}"
        time.sleep(0.05)


class Stack:
    """One start of deploy/stack.py."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / "state"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.database = database.fresh(self.state)
        self.environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith("KVMWEB_")},
            **self.database.env,
            "KVMWEB_STATE_DIR": str(self.state),
            "KVMWEB_LISTEN": f"127.0.0.1:{self.port}",
            "KVMWEB_LOCAL_HOST": "0",
        }

    def start(self) -> None:
        self.output = self.folder / f"output-{time.monotonic_ns()}"
        self.process = subprocess.Popen(
            [sys.executable, "deploy/stack.py"],
            cwd=ROOT,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=self.output.open("wb"),
            stderr=subprocess.STDOUT,
        )
        until(lambda: READY.search(self.said()) or self.process.poll() is not None, START_SECONDS, "it is ready")
        assert READY.search(self.said()), self.said()

    def said(self) -> str:
        return self.output.read_text()

    def processes(self) -> list[psutil.Process]:
        """Everything that has our state folder in its environment, or (Redis writes over that) in its command line."""
        found = []
        for process in psutil.process_iter():
            try:
                environ, argv = process.environ(), process.cmdline()
                if environ.get("KVMWEB_STATE_DIR") == str(self.state) or str(self.state) in " ".join(argv):
                    found.append(process)
            except (psutil.NoSuchProcess, psutil.ZombieProcess, psutil.AccessDenied):
                continue
        return found

    def lines(self) -> dict[psutil.Process, str]:
        """The command line of each."""
        found = {}
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                found[process] = " ".join(process.cmdline())
        return found

    def find(self, words: str) -> psutil.Process | None:
        """The process with these words in its command line that is not the script that keeps it."""
        return next(
            (process for process, line in self.lines().items() if words in line and "respawn" not in line), None
        )

    def status(self, path: str) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        finally:
            connection.close()

    def answers(self, path: str) -> bool:
        try:
            return self.status(path) == 200
        except (OSError, http.client.HTTPException):
            return False


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    folder = Path(tempfile.mkdtemp(prefix="kvmweb-stack-", dir="/tmp"))
    stack = Stack(folder)
    stack.start()
    yield stack
    if stack.process.poll() is None:
        stack.process.kill()
        stack.process.wait()
    until(lambda: not stack.processes(), 20, "nothing is left")
    stack.database.forget()
    shutil.rmtree(folder)


def test_it_says_where_it_is_and_how_to_become_administrator(stack: Stack) -> None:
    link = re.search(rf"http://127\.0\.0\.1:{stack.port}(/setup/\S+/)", stack.said())
    assert link
    assert stack.status(link[1]) == 200
    assert stack.status("/accounts/login/") == 200


def test_static_files_are_collected_with_their_hashes(stack: Stack) -> None:
    files = [path.relative_to(stack.state / "static") for path in (stack.state / "static").rglob("rfb.*.js")]
    assert files
    assert stack.status(f"/static/{files[0]}") == 200


def test_no_secret_stands_in_a_command_line_or_is_readable_by_others(stack: Stack) -> None:
    secrets = [path for path in (stack.state / "secrets").iterdir() if path.is_file()]
    assert len(secrets) >= 2
    lines = stack.lines().values()
    for path in secrets:
        assert path.stat().st_mode & 0o777 == 0o600
        assert not [line for line in lines if path.read_text().strip() in line]
    assert stack.state.stat().st_mode & 0o777 == 0o700
    if stack.database.file:
        assert stack.database.file.stat().st_mode & 0o077 == 0


def test_the_doctor_finds_nothing_broken(stack: Stack) -> None:
    asked = subprocess.run(
        [sys.executable, "manage.py", "doctor"], cwd=ROOT, env=stack.environ, capture_output=True, text=True
    )
    assert asked.returncode == 0, asked.stdout + asked.stderr
    assert "Nothing is broken." in asked.stdout


def test_a_second_start_with_the_same_folder_says_why_not(stack: Stack) -> None:
    second = subprocess.run(
        [sys.executable, "deploy/stack.py"], cwd=ROOT, env=stack.environ, capture_output=True, text=True, timeout=30
    )
    assert second.returncode == 1
    assert "runs already with the state folder" in second.stderr


def test_a_taken_port_is_named_with_the_way_out(stack: Stack) -> None:
    environ = {**stack.environ, "KVMWEB_STATE_DIR": str(stack.folder / "other")}
    second = subprocess.run(
        [sys.executable, "deploy/stack.py"], cwd=ROOT, env=environ, capture_output=True, text=True, timeout=30
    )
    assert second.returncode == 1
    assert f"Can't listen on 127.0.0.1 port {stack.port}: another program uses it" in second.stderr


@pytest.mark.parametrize(
    ("words", "socket_name"),
    [
        ("kvmweb.asgi:application", "web.sock"),
        ("console_gateway", "console.sock"),
        ("dashboard.consoles.serial:application", "serial.sock"),
        ("redis-server unixsocket", "redis.sock"),
    ],
)
def test_a_killed_process_comes_back(stack: Stack, words: str, socket_name: str) -> None:
    def answers() -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(stack.state / "run" / socket_name)) == 0

    until(answers, 20, "it answers")
    victim = stack.find(words)
    assert victim
    victim.kill()
    until(lambda: not victim.is_running() and answers(), START_SECONDS, "it answers again")
    assert stack.find(words) not in (None, victim)
    assert stack.process.poll() is None


@pytest.mark.parametrize("words", ["kvmweb.worker", "manage.py monitor", "nginx: master"])
def test_a_killed_process_without_a_socket_comes_back_too(stack: Stack, words: str) -> None:
    until(lambda: stack.find(words), 20, "it is there")
    victim = stack.find(words)
    assert victim
    victim.kill()
    until(lambda: stack.find(words) not in (None, victim), START_SECONDS, "it is back")
    until(lambda: stack.answers("/accounts/login/"), 20, "pages answer")


def test_ctrl_c_ends_everything_and_starting_again_takes_seconds(stack: Stack) -> None:
    stack.process.send_signal(signal.SIGINT)
    assert stack.process.wait(timeout=30) == 0, stack.said()
    assert stack.processes() == []
    assert not [path for path in (stack.state / "run").iterdir() if path.is_socket()]
    began = time.monotonic()
    stack.start()
    assert time.monotonic() - began < 30  # alone on its machine it takes 4 s


def test_when_the_launcher_is_killed_nothing_outlives_it(stack: Stack) -> None:
    if stack.process.poll() is not None:
        stack.start()
    stack.process.kill()
    stack.process.wait()
    until(lambda: not stack.processes(), 20, "nothing is left")


def test_closing_the_terminal_ends_everything_in_order(stack: Stack) -> None:
    if stack.process.poll() is not None:
        stack.start()
    stack.process.send_signal(signal.SIGHUP)
    assert stack.process.wait(timeout=30) == 0
    assert stack.processes() == []
    assert not [path for path in (stack.state / "run").iterdir() if path.is_socket()]


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[str, str]:
    """A certificate of nobody in particular, and its key."""
    pair = str(tmp_path / "certificate.pem"), str(tmp_path / "key.pem")
    argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    argv += ["-subj", "/CN=vm.example.org", "-out", pair[0], "-keyout", pair[1]]
    subprocess.run(argv, check=True, capture_output=True)
    return pair


@pytest.mark.parametrize(("status", "is_ready"), [(503, False), (200, True)])
def test_it_is_ready_when_pages_come_over_tls(
    certificate: tuple[str, str], monkeypatch: pytest.MonkeyPatch, status: int, is_ready: bool
) -> None:
    class Pages(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    with http.server.HTTPServer(("127.0.0.1", 0), Pages) as server:
        monkeypatch.setenv("KVMWEB_LISTEN", f"127.0.0.1:{server.server_port}")
        monkeypatch.setenv("KVMWEB_PUBLIC_URL", "https://vm.example.org")
        monkeypatch.setenv("KVMWEB_TLS_CERTIFICATE", certificate[0])
        monkeypatch.setenv("KVMWEB_TLS_KEY", certificate[1])
        server.socket = context.wrap_socket(server.socket, server_side=True)
        answering = threading.Thread(target=server.handle_request)
        answering.start()
        assert launcher.ready() is is_ready
        answering.join()


def test_with_a_certificate_it_is_ready_on_https(
    stack: Stack, certificate: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if stack.process.poll() is None:
        stack.process.send_signal(signal.SIGINT)
        stack.process.wait(timeout=30)
    monkeypatch.setitem(stack.environ, "KVMWEB_PUBLIC_URL", "https://vm.example.org")
    monkeypatch.setitem(stack.environ, "KVMWEB_TLS_CERTIFICATE", certificate[0])
    monkeypatch.setitem(stack.environ, "KVMWEB_TLS_KEY", certificate[1])
    stack.start()
    found = READY.search(stack.said())
    assert found is not None
    assert found[1] == "https://vm.example.org"
    stack.process.send_signal(signal.SIGINT)
    assert stack.process.wait(timeout=30) == 0, stack.said()
