"""One-time console tickets: issued to a session, kept hashed in Redis, redeemed once within 30 seconds."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from dataclasses import asdict, dataclass
from typing import Any, Literal

from dashboard.consoles.refusals import TICKET, Refused
from dashboard.inventory import bus

Kind = Literal["vnc", "serial"]
PATHS: dict[str, str] = {"vnc": "/console/vnc", "serial": "/console/serial"}
SECONDS = 30
PREFIX = "ticket."
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)


@dataclass(frozen=True)
class Ticket:
    """What a ticket is bound to. `session` is the SHA-256 of the session key, never the key."""

    user: int
    session: str
    host: int
    uuid: str
    kind: Kind
    permission: str
    view_only: bool
    source_ip: str = ""

    @property
    def may_write(self) -> bool:
        """Whether what is typed reaches the guest. The permission is looked at again while the console is open, and
        whoever was let in by the one for watching only watches, whatever else the ticket says."""
        return self.permission == "guest.console" and not self.view_only


def digest(text: str) -> str:
    """The SHA-256 of a token or session key, in hex: the only form in which either is kept."""
    return hashlib.sha256(text.encode()).hexdigest()


def issue(ticket: Ticket) -> str:
    """Store a ticket for 30 seconds and return its token: 256 random bits that exist nowhere else."""
    token = secrets.token_urlsafe(32)
    bus.client().set(f"kvmweb:ticket:{digest(token)}", json.dumps(asdict(ticket)), ex=SECONDS)
    return token


def redeem(token: str, *, session_key: str, kind: Kind) -> Ticket:
    """Take the ticket away and return it; Refused if there is none or it belongs to another session or kind.

    GETDEL is atomic: of two that come at once with one token, one gets it. A token that was shown by the wrong
    session is spent all the same.
    """
    if not _TOKEN.fullmatch(token):
        raise Refused(TICKET, "malformed")
    stored: Any = bus.client().getdel(f"kvmweb:ticket:{digest(token)}")
    if stored is None:
        raise Refused(TICKET, "unknown, used or expired")
    ticket = Ticket(**json.loads(stored))
    if not session_key or not secrets.compare_digest(ticket.session, digest(session_key)):
        raise Refused(TICKET, "another session")
    if ticket.kind != kind:
        raise Refused(TICKET, "another kind")
    return ticket


def token_of(protocols: str) -> str:
    """The token in a Sec-WebSocket-Protocol header ("binary, ticket.TOKEN"); "" unless there is exactly one."""
    offered = [part.strip() for part in protocols.split(",")]
    tokens = [part.removeprefix(PREFIX) for part in offered if part.startswith(PREFIX)]
    return tokens[0] if len(tokens) == 1 and "binary" in offered else ""
