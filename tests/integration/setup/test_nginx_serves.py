"""nginx with our configuration: what it serves, what it tells the application, and what it keeps quiet about."""

from __future__ import annotations

import http.client
import http.server
import json
import shutil
import socket
import socketserver
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from deploy import nginx


class Application(http.server.BaseHTTPRequestHandler):
    """Says what it was told; upgrades to an echo where a WebSocket is asked for."""

    protocol_version = "HTTP/1.1"

    def address_string(self) -> str:
        return "nginx"

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        if self.headers.get("Upgrade") == "websocket":
            self.send_response(101)
            self.send_header("Upgrade", "websocket")
            self.send_header("Connection", "upgrade")
            self.end_headers()
            self.wfile.write(self.rfile.read(5).upper())
            self.close_connection = True
            return
        body = json.dumps(dict(self.headers)).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        if self.headers.get("X-Say-Policy"):
            self.send_header("Content-Security-Policy", "default-src 'self'")
            self.send_header("X-Frame-Options", "SAMEORIGIN")
            self.send_header("Cache-Control", "private")
        self.end_headers()
        self.wfile.write(body)


class Upstream(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


@dataclass
class Front:
    """A running nginx."""

    port: int
    run: Path
    log: Path
    static: Path

    def get(self, path: str, headers: dict[str, str] | None = None) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request("GET", path, headers={"Host": "vm.example.org", **(headers or {})})
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.status, {name: ", ".join(answer.headers.get_all(name, [])) for name in answer.headers}, body

    def application(self, name: str) -> None:
        server = Upstream(str(self.run / name), Application)
        threading.Thread(target=server.serve_forever, daemon=True).start()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def front(monkeypatch: pytest.MonkeyPatch) -> Iterator[Front]:
    folder = Path(tempfile.mkdtemp(prefix="nginx 虚", dir="/tmp"))
    port = free_port()
    monkeypatch.setenv("KVMWEB_LISTEN", f"127.0.0.1:{port}")
    monkeypatch.setenv("KVMWEB_PUBLIC_URL", "https://vm.example.org")
    front = Front(port, folder / "run", folder / "log", folder / "static")
    for path in (front.run, front.static):
        path.mkdir()
    config = nginx.write(run=front.run, log=front.log, static=front.static)
    argv = ["nginx", "-e", "stderr", "-p", str(front.run), "-c", str(config)]
    process = subprocess.Popen(argv, stderr=(folder / "stderr").open("wb"))
    try:
        deadline = time.monotonic() + 10
        while socket.socket().connect_ex(("127.0.0.1", port)):
            assert process.poll() is None, (folder / "stderr").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield front
    finally:
        process.terminate()
        process.wait(timeout=10)
        shutil.rmtree(folder)


def test_the_application_is_told_our_host_and_the_real_visitor_whatever_the_visitor_claims(front: Front) -> None:
    front.application("web.sock")
    status, _headers, body = front.get(
        "/", {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "gopher"}
    )
    told = json.loads(body)
    assert status == 200
    assert told["Host"] == "vm.example.org"
    assert told["X-Forwarded-For"] == "127.0.0.1"
    assert told["X-Forwarded-Proto"] == "https"
    assert "X-Forwarded-Host" not in told


def test_another_name_is_sent_to_ours(front: Front) -> None:
    front.application("web.sock")
    status, headers, _body = front.get("/guests/?state=running", {"Host": "evil.example"})
    assert (status, headers["Location"]) == (307, "https://vm.example.org/guests/?state=running")


def test_a_proxy_that_passes_our_own_address_as_host_will_do(front: Front) -> None:
    front.application("web.sock")
    status, _headers, body = front.get("/", {"Host": f"127.0.0.1:{front.port}"})
    assert status == 200
    assert json.loads(body)["Host"] == "vm.example.org"


def test_while_the_application_starts_the_page_says_so_and_tries_again(front: Front) -> None:
    status, headers, body = front.get("/guests/")
    assert status == 503
    assert headers["Retry-After"] == "2"
    assert "正在启动".encode() in body
    assert b'http-equiv="refresh"' in body


def test_a_file_with_its_hash_in_its_name_is_kept_for_ever_and_another_is_asked_for_anew(front: Front) -> None:
    (front.static / "page.0123456789ab.mjs").write_text("export default 1;\n" * 200)
    (front.static / "page.mjs").write_text("export default 1;\n")
    _status, headers, _body = front.get("/static/page.0123456789ab.mjs", {"Accept-Encoding": "gzip"})
    assert headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert headers["Content-Type"] == "text/javascript"
    assert headers["Content-Encoding"] == "gzip"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert front.get("/static/page.mjs")[1]["Cache-Control"] == "no-cache"
    assert front.get("/static/")[0] in (403, 404)
    assert front.get("/static../run/nginx.conf")[0] in (404, 503)


@pytest.mark.parametrize(
    ("path", "name"), [("/live/", "web.sock"), ("/console/vnc", "console.sock"), ("/console/serial", "serial.sock")]
)
def test_websockets_go_to_the_process_that_serves_them(front: Front, path: str, name: str) -> None:
    front.application(name)
    with socket.create_connection(("127.0.0.1", front.port), timeout=10) as client:
        client.sendall(
            f"GET {path} HTTP/1.1\r\nHost: vm.example.org\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n".encode()
        )
        head = client.recv(4096)
        assert head.startswith(b"HTTP/1.1 101")
        client.sendall(b"hello")
        assert client.recv(5) == b"HELLO"


def test_a_storm_of_console_handshakes_is_slowed_before_it_makes_processes(front: Front) -> None:
    front.application("console.sock")
    answers = [front.get("/console/vnc")[0] for _ in range(160)]
    assert answers[:100] == [200] * 100
    assert 429 in answers


def test_the_log_keeps_no_query_and_no_link_that_is_a_secret(front: Front) -> None:
    front.application("web.sock")
    front.get("/guests/?q=confidential")
    front.get("/password/very-secret-token/")
    front.get("/setup/very-secret-token/?next=confidential", {"Referer": "https://vm.example.org/?confidential"})
    deadline = time.monotonic() + 5
    while (log := (front.log / "access.log").read_text()).count("\n") < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert '"GET /guests/" 200' in log
    assert '"GET /setup/-" 200' in log
    assert '"GET /password/-" 200' in log
    assert "confidential" not in log
    assert "very-secret-token" not in log


@pytest.mark.parametrize(
    ("path", "host", "status"),
    [
        ("/static/page.mjs", "vm.example.org", 200),
        ("/static/none.mjs", "vm.example.org", 404),
        ("/static/", "vm.example.org", 403),
        ("/guests/", "vm.example.org", 503),
        ("/guests/", "evil.example", 307),
        ("/console/vnc", "vm.example.org", 502),
    ],
)
def test_what_nginx_itself_answers_is_as_strict_as_the_pages(front: Front, path: str, host: str, status: int) -> None:
    (front.static / "page.mjs").write_text("export default 1;\n")
    answered, headers, _body = front.get(path, {"Host": host})
    assert answered == status
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cross-Origin-Opener-Policy"] == headers["Cross-Origin-Resource-Policy"] == "same-origin"


def test_headers_of_the_application_are_not_sent_twice(front: Front) -> None:
    front.application("web.sock")
    status, headers, _body = front.get("/", {"X-Say-Policy": "yes"})
    assert (status, headers["Content-Security-Policy"]) == (200, "default-src 'self'")
    assert headers["X-Frame-Options"] == "SAMEORIGIN"
    assert headers["Cache-Control"] == "private"


def test_two_lengths_in_one_request_are_refused(front: Front) -> None:
    front.application("web.sock")
    with socket.create_connection(("127.0.0.1", front.port), timeout=10) as client:
        client.sendall(
            b"POST / HTTP/1.1\r\nHost: vm.example.org\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET"
        )
        assert client.recv(4096).split()[1] == b"400"
