"""The VNC gateway: websockify with our own door, one forked process per console, a parent that never opens libvirt."""

from __future__ import annotations

import gc
import logging
import multiprocessing
import select
import signal
import socket
import threading
import time
from contextlib import suppress
from typing import Any

from django.conf import settings
from django.db import connections
from websockify.websocket import WebSocketWantReadError
from websockify.websocketproxy import ProxyRequestHandler, WebSocketProxy
from websockify.websockifyserver import CompatibleWebSocket, WebSockifyServer

from dashboard.consoles.admission import Admission, admit, same_origin
from dashboard.consoles.refusals import ENDED, PROTOCOL, RESTART, Refused, Why
from dashboard.consoles.rfb import ProtocolViolation, ViewOnlyFilter
from dashboard.consoles.seats import Seat
from dashboard.consoles.targets import Target, open_target
from dashboard.consoles.tickets import PATHS
from dashboard.consoles.trace import remember
from dashboard.consoles.watch import Watch

log = logging.getLogger(__name__)

HANDSHAKE_SECONDS = 10
PING_SECONDS = 20.0
LINGER_SECONDS = 2.0
MOST_FRAME = 1 << 20
MOST_QUEUED = 1 << 20


class ConsoleSocket(CompatibleWebSocket):  # type: ignore[misc]
    """A WebSocket that speaks "binary" only and takes no frame above 1 MiB."""

    def select_subprotocol(self, protocols: list[str]) -> str:
        """Always "binary": the ticket beside it is never echoed."""
        return "binary" if "binary" in protocols else ""

    def _decode_hybi(self, buf: bytes) -> Any:
        length = buf[1] & 0x7F if len(buf) > 1 else 0
        if length == 127 and len(buf) >= 10 and int.from_bytes(buf[2:10]) > MOST_FRAME:
            raise ProtocolViolation("frame too long")
        return super()._decode_hybi(buf)


class ConsoleHandler(ProxyRequestHandler):  # type: ignore[misc]
    """One console, in a process of its own."""

    SocketClass = ConsoleSocket
    _why: Why | None = None

    def do_GET(self) -> None:
        """Nothing but WebSockets here; websockify's own file server is never reached."""
        self.send_error(404)

    do_HEAD = do_GET

    def handle_upgrade(self) -> None:
        """Only our own pages get as far as a WebSocket; everything finer is said in its close code."""
        signal.alarm(0)
        if self.path != PATHS["vnc"]:
            self.send_error(404)
        elif not same_origin(self.headers.get_all("Origin", [])):
            log.info("console refused: foreign or missing Origin")
            self.send_error(403)
        elif "binary" not in self.headers.get("Sec-WebSocket-Protocol", "").split(","):
            self.send_error(400)
        else:
            super().handle_upgrade()

    def handle_websocket(self) -> None:
        """As websockify does, without its log lines, and closing in a way that the reason arrives."""
        self.send_parts: list[bytes] = []
        self.start_time = int(time.time() * 1000)
        try:
            self.new_websocket_client()
        except self.CClose as close:
            with suppress(OSError):
                self._say_goodbye(*close.args)

    def new_websocket_client(self) -> None:
        """Let the person in or say why not, then carry bytes until somebody has had enough."""
        try:
            admission = admit(
                cookies=self.headers.get_all("Cookie", []),
                protocols=self.headers.get_all("Sec-WebSocket-Protocol", []),
                kind="vnc",
            )
            seat = Seat(user=admission.ticket.user, host=admission.ticket.host, uuid=admission.ticket.uuid)
            seat.take()
        except Refused as refused:
            log.info("console refused: %s", refused)
            raise self.CClose(refused.why.code, refused.why.word) from refused
        try:
            target = open_target(admission.guest)
        except Refused as refused:
            seat.leave()
            log.info("console of %s refused: %s", admission.guest.name, refused)
            raise self.CClose(refused.why.code, refused.why.word) from refused
        try:
            self._carry(admission, target, seat)
        finally:
            target.close()
            seat.leave()
            connections.close_all()

    def _carry(self, admission: Admission, target: Target, seat: Seat) -> None:
        remember(admission)
        connections.close_all()
        watch = Watch(admission.grant, lambda why: self._end(target, why), seat.renew)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._end(target, RESTART))
        watch.start()
        self._filter = None if admission.ticket.may_write else ViewOnlyFilter()
        try:
            self.send_frames([target.banner])
            self.do_proxy(target.sock)
        except (OSError, ProtocolViolation) as error:
            why = PROTOCOL if isinstance(error, ProtocolViolation) else (self._why or ENDED)
            log.log(
                logging.INFO if why is PROTOCOL else logging.DEBUG, "console of %s: %s", admission.guest.name, error
            )
            raise self.CClose(why.code, why.word) from error
        finally:
            watch.stop()

    def _end(self, target: Target, why: Why) -> None:
        """End from outside: the display's side closes; a browser that does not read is cut off soon after."""
        self._why = why
        target.shutdown()
        cut = threading.Timer(LINGER_SECONDS, self._cut)
        cut.daemon = True
        cut.start()

    def _cut(self) -> None:
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def do_proxy(self, target: socket.socket) -> None:
        """Carry bytes both ways. What one side does not take is not read from the other."""
        poller, queue, ping_at = select.poll(), bytearray(), time.monotonic() + PING_SECONDS
        client_fd, target_fd = self.request.fileno(), target.fileno()
        while True:
            poller.register(client_fd, select.POLLIN if len(queue) < MOST_QUEUED else 0)
            poller.register(target_fd, select.POLLIN | (select.POLLOUT if queue else 0))
            ready = dict(poller.poll(1000))
            if client_fd in ready and not self._from_client(queue):
                return
            if ready.get(target_fd, 0) & select.POLLOUT:
                del queue[: target.send(queue)]
            if ready.get(target_fd, 0) & ~select.POLLOUT:
                self._from_target(target)
            if time.monotonic() > ping_at:
                self.send_ping()
                ping_at = time.monotonic() + PING_SECONDS

    def _from_client(self, queue: bytearray) -> bool:
        messages, closed = self.recv_frames()
        for message in messages:
            queue += self._filter.feed(message) if self._filter else message
        return not closed

    def _from_target(self, target: socket.socket) -> None:
        data = target.recv(self.buffer_size)
        if not data:
            why = self._why or ENDED
            raise self.CClose(why.code, why.word)
        pending = self.send_frames([data])
        while pending:
            pending = self.send_frames()

    def _say_goodbye(self, code: int, word: str) -> None:
        """Send the close frame and wait a moment for the browser's: a socket closed at once may swallow it."""
        self.send_close(code, word)
        self.connection.settimeout(LINGER_SECONDS)
        until = time.monotonic() + LINGER_SECONDS
        while time.monotonic() < until:
            try:
                if self.request.recvmsg() is None:
                    return
            except WebSocketWantReadError:
                continue

    def log_message(self, format: str, *args: Any) -> None:
        """websockify's own lines, at debug level; they name paths, never headers."""
        log.debug(format, *args)


class Gateway(WebSocketProxy):  # type: ignore[misc]
    """The listening parent. It holds no libvirt connection, no database connection and no Redis connection."""

    _listener: Any

    def socket(self, *args: Any, **kwargs: Any) -> Any:
        """As websockify makes it, and remembered."""
        self._listener = super().socket(*args, **kwargs)
        return self._listener

    def top_new_client(self, startsock: Any, address: list[str]) -> None:
        """In the child: its own signals, a deadline for the handshake, then the handler."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGALRM):
            signal.signal(number, signal.SIG_DFL)
        signal.alarm(HANDSHAKE_SECONDS)
        self._listener.close()  # else browsers could still queue at a gateway that has died
        super().top_new_client(startsock, address)


def serve(path: str) -> None:
    """Listen on the UNIX socket `path` until SIGTERM or SIGINT."""
    # The child must start as a copy of this process: numpy, Django and libvirt's library are loaded here, once.
    import numpy  # noqa: F401

    multiprocessing.set_start_method("fork", force=True)
    WebSockifyServer.get_logger().setLevel(logging.WARNING)
    connections.close_all()
    server = Gateway(RequestHandlerClass=ConsoleHandler, unix_listen=path, unix_listen_mode=0o660)
    gc.freeze()
    log.info("console gateway listens on %s", path)
    server.start_server()


def default_path() -> str:
    """Where nginx looks for the gateway."""
    return str(settings.RUN_DIR / "console.sock")
