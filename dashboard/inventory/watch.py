"""The state machine of one host: connect, follow, and when the host is lost say so and try again, ever more slowly."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from django.db import IntegrityError, connection
from django.utils import timezone

from dashboard.inventory import metrics, publish, store
from dashboard.inventory.credentials import spec_for
from dashboard.inventory.database import Stopped, persist
from dashboard.inventory.models import Host, Transport
from dashboard.inventory.reader import whole_host
from dashboard.inventory.session import Session
from dashboard.virt.errors import VirtError, gettext_noop

log = logging.getLogger(__name__)

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 30.0
T = TypeVar("T")

HUNG_SECONDS = 120.0
"""A call on the event connection never takes this long: its connection is cut then."""
NOT_APPROVED = gettext_noop("The host's key has not been approved yet. Check the host and approve its key.")


class HostWatch:
    """One thread that follows one host until `stop`. A stopped one writes nothing more, even if its thread still hangs."""

    def __init__(self, host_id: int) -> None:
        self.host_id = host_id
        self.started = time.monotonic()
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._session: Session | None = None
        self._thread = threading.Thread(target=self._run, name=f"host-{host_id}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, without waiting for calls that are under way."""
        self._stop.set()
        self._wake.set()
        session = self._session
        if session is not None:
            session.ask("stop", "")  # wakes it

    def join(self, seconds: float) -> None:
        """Wait for the thread to end, but no longer."""
        self._thread.join(seconds)

    @property
    def dead(self) -> bool:
        """Whether the thread ended by itself: a fault of ours."""
        return not self._thread.is_alive() and not self._stop.is_set()

    @property
    def live(self) -> bool:
        """Whether the host is connected and compared."""
        session = self._session
        return session is not None and session.live

    def ask(self, what: str, uuid: str = "") -> None:
        """Have something looked at again; while the host is not connected that happens anyway when it returns."""
        session = self._session
        if session is not None:
            session.ask(what, uuid)
        elif what in ("host", "all"):
            self._wake.set()

    def tick(self, watched: bool, pictures: Sequence[str] = ()) -> bool:
        """Called every second or so. False if the watch hangs beyond help and must be replaced."""
        session = self._session
        if session is None:
            return True
        session.tick(watched, pictures)
        since = session.calling_since
        if since is None or time.monotonic() - since < HUNG_SECONDS:
            return True
        session.abort()
        return time.monotonic() - since < HUNG_SECONDS + 30

    def _run(self) -> None:
        failures = 0
        try:
            while not self._stop.is_set():
                was_live = self._attempt()
                failures = 0 if was_live else failures + 1
                self._wake.wait(pause_after(failures))
                self._wake.clear()
        except (Stopped, Host.DoesNotExist):
            return
        finally:
            connection.close()

    def _attempt(self) -> bool:
        """Connect and follow until the host is lost; whether it had been live."""
        host = self._persist(lambda: Host.objects.get(pk=self.host_id))
        session: Session | None = None
        try:
            session = self._session = Session(host, spec_for(host), self._stop.is_set)
            session.run()
        except VirtError as error:
            self._session = None
            was_live = session is not None and session.live
            self._lost(host, error, was_live)
            return was_live
        except IntegrityError as error:
            # Its own row went away under it, or somebody else wrote the same object: read everything anew.
            log.warning("Host %s: the database refused a row: %s", host, error)
        finally:
            self._session = None
        return session is not None and session.live

    def _lost(self, host: Host, error: VirtError, was_live: bool) -> None:
        """Write and say that the host does not answer, and why; all that it has is then unknown."""
        status, text = _status_of(host, error)
        last_seen = timezone.now() if was_live else host.last_seen
        news = self._persist(lambda: store.set_status(host, status, text, error.detail, last_seen=last_seen))
        if not news:
            return
        log.warning("Host %s is %s: %s", host, status, error)
        metrics.forget(host.pk)
        publish.publish_many(self._persist(lambda: whole_host(host)) if was_live else [store.host_message(host)])

    def _persist(self, work: Callable[[], T]) -> T:
        return persist(work, self._stop.is_set)


def pause_after(failures: int) -> float:
    """Seconds until the next attempt: 1, 2, 4 … 30, each up to a third more or less, so that hosts do not come at once."""
    pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(max(0, failures - 1), 5))
    return min(LONGEST_PAUSE, max(FIRST_PAUSE / 2, pause * random.uniform(0.7, 1.3)))  # noqa: S311 - not a secret


def _status_of(host: Host, error: VirtError) -> tuple[str, str]:
    if error.code != "host_key":
        return Host.Status.DOWN, error.message
    if host.transport == Transport.SSH and not host.host_keys.strip():
        return Host.Status.NEW, NOT_APPROVED
    return Host.Status.UNTRUSTED, error.message
