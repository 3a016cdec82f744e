"""The real processes on a state folder and port of their own, as `make run` starts them."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.lab import database
from tests.lab.hosts import LabError, wait_for

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 90


def free_port() -> int:
    """A TCP port that nothing uses at present."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Stack:
    """deploy/stack.py as a process; `url` is its address, `setup_link` the one-time link that it printed."""

    def __init__(self, libvirt_socket: str, name: str = "127.0.0.1") -> None:
        self.state = Path(tempfile.mkdtemp(prefix="kvmweb-e2e-", dir="/tmp"))
        port = free_port()
        self.url = f"http://{name}:{port}"
        self.setup_link = ""
        self.database = database.fresh(self.state)
        self.output = self.state / "stack.log"
        outside = {name: value for name, value in os.environ.items() if not name.startswith("KVMWEB_")}
        self.env = outside | {
            **self.database.env,
            "KVMWEB_STATE_DIR": str(self.state),
            "KVMWEB_LISTEN": f"127.0.0.1:{port}",
            "KVMWEB_PUBLIC_URL": self.url,
            "KVMWEB_LIBVIRT_SOCKET": libvirt_socket,
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait for the words that a person waits for."""
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "deploy/stack.py"],
                cwd=ROOT,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        wait_for(self._said_ready, seconds=START_SECONDS, every=0.1, saying=f"kvmweb is ready:\n{self.said}")
        link = re.search(r"http\S+/setup/\S+", self.said)
        self.setup_link = link.group(0) if link else self.setup_link

    @property
    def said(self) -> str:
        """Everything that it printed so far."""
        return self.output.read_text(errors="replace") if self.output.exists() else ""

    def _said_ready(self) -> bool:
        if self.process is None or self.process.poll() is not None:
            raise LabError(f"deploy/stack.py ended:\n{self.said}")
        return "kvmweb is ready" in self.said

    def stop(self) -> None:
        """End it as Ctrl-C does and forget its state."""
        if self.process is not None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(timeout=40)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        self.database.forget()
        shutil.rmtree(self.state, ignore_errors=True)
