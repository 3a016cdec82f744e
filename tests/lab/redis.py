"""A private Redis on a UNIX socket, which tests may also kill and start again."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import redis

from tests.lab.hosts import LabError, wait_for


class RedisServer:
    """redis-server on the socket that KVMWEB_REDIS_URL names; keeps nothing on disk."""

    def __init__(self) -> None:
        self.url = os.environ["KVMWEB_REDIS_URL"]
        self.socket = Path(self.url.removeprefix("unix://"))
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, empty, and wait until it answers."""
        if shutil.which("redis-server") is None:
            raise LabError("redis-server is missing (Debian: redis-server)")
        self.socket.parent.mkdir(parents=True, exist_ok=True)
        argv = [
            "redis-server",
            "--port",
            "0",
            "--unixsocket",
            self.socket,
            "--unixsocketperm",
            "700",
            "--save",
            "",
            "--appendonly",
            "no",
        ]
        self.process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, cwd=self.socket.parent
        )
        wait_for(self.answers, saying="redis-server answers")

    def answers(self) -> bool:
        """True when it answers a PING."""
        try:
            with self.client() as client:
                return bool(client.ping())
        except redis.ConnectionError:
            return False

    def client(self) -> redis.Redis:
        """A client with text answers; close it."""
        return redis.Redis(unix_socket_path=str(self.socket), decode_responses=True)

    def stop(self) -> None:
        """Kill it, as a crash would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
        self.socket.unlink(missing_ok=True)
