"""Why a console is refused or ends: each a WebSocket close code and one word that the page turns into a sentence."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Why:
    """A close code of the private range with its reason word; both travel in the WebSocket close frame."""

    code: int
    word: str


TICKET = Why(4401, "ticket")
"""No ticket, used before, expired, or another session's."""
SESSION = Why(4401, "session")
"""Signed out, session expired, or the person was disabled."""
RIGHTS = Why(4403, "rights")
"""The person's role no longer allows it."""
GONE = Why(4404, "gone")
"""The virtual machine or its host was removed."""
TIME = Why(4408, "time")
"""Open for as long as a console may be."""
OFF = Why(4409, "off")
"""The virtual machine does not run."""
NO_DISPLAY = Why(4410, "no-display")
SPICE = Why(4410, "spice")
"""It has a display, but of a kind that the page cannot show."""
LOOPBACK = Why(4410, "loopback")
"""Its VNC listens on the host's loopback, and the host is not reached over SSH."""
REMOTE_SOCKET = Why(4410, "remote-socket")
"""Its VNC listens on a UNIX socket of another machine."""
NO_KEY = Why(4410, "no-key")
"""The host is reached over SSH, but what a tunnel to its screens needs is missing."""
NO_SERIAL = Why(4410, "no-serial")
PROTOCOL = Why(4400, "protocol")
"""The browser sent what is not the console's protocol."""
ENDED = Why(4412, "ended")
"""The other side closed: the virtual machine stopped, restarted or moved."""
BUSY = Why(4429, "busy")
"""Too many consoles are open."""
UNREACHABLE = Why(4502, "host")
"""The host does not answer, or the display on it does not."""
RESTART = Why(1012, "restart")
"""The gateway stops; the page comes back."""


class Refused(Exception):
    """Raised wherever a console is refused; `detail` is for the log only and never holds a ticket."""

    def __init__(self, why: Why, detail: str = "") -> None:
        self.why = why
        self.detail = detail
        super().__init__(f"{why.word}: {detail}" if detail else why.word)
