"""What a running step is given: the job's parameters and plan, a connection, and ways to log, report and stop."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext_noop

from dashboard.inventory import refresh
from dashboard.inventory.credentials import spec_for
from dashboard.jobs import news, patience
from dashboard.jobs.errors import Cancelled, Failed, HandOver
from dashboard.jobs.lease import clock
from dashboard.jobs.models import Job
from dashboard.jobs.operation import Operation, Params, Text
from dashboard.jobs.wording import english
from dashboard.virt import pool
from dashboard.virt.errors import VirtError

if TYPE_CHECKING:
    from dashboard.inventory.models import Host
    from dashboard.jobs.lease import Hold

NO_HOST = gettext_noop("The host is no longer enrolled.")
PROGRESS_EVERY = 0.5
"""Seconds between two progress reports that are written; those between are dropped."""
CANCEL_EVERY = 0.5
"""Seconds between two looks at the row for a cancel."""

leaving = patience.leaving


class Context:
    """One run of a job, as its steps see it.

    Texts are English msgids (or lazy translations) with their values given apart, so that each reader gets their
    language: `ctx.log(_("Made volume %(name)s"), name=name)`.
    """

    def __init__(self, hold: Hold, operation: Operation, params: Params) -> None:
        self.job: Job = hold.job
        self.params: Any = params
        self.host: Host | None = hold.job.host
        self.uuid: str = hold.job.object_key
        self.host_away = False
        """Whether the last try to reach the host failed."""
        self._hold = hold
        self._operation = operation
        self._lent = ExitStack()
        self._conn: Any = None
        self._reported = 0.0
        self._asked = clock()

    @property
    def plan(self) -> dict[str, Any]:
        """What was fixed beforehand and kept since."""
        return dict(self.job.plan)

    @property
    def conn(self) -> Any:
        """libvirt's connection to the job's host, lent until the step ends or `check` is called: then ask anew."""
        self._hold.ensure()
        if self._conn is None:
            if self.host is None:
                raise Failed(NO_HOST, code="not_found")
            try:
                self._conn = self._lent.enter_context(pool.borrow(spec_for(self.host)))
            except VirtError as error:
                self.host_away = error.code in ("unreachable", "timeout")
                raise
        return self._conn

    def give_back(self) -> None:
        """Return the lent connection; so does `check`."""
        self._conn = None
        self._lent.close()

    def keep(self, **more: Any) -> None:
        """Add to the plan and save it: survives a crash of the worker."""
        self._hold.write(plan={**self.job.plan, **more})

    def log(self, text: Text, level: str = "info", **values: Any) -> None:
        """Append a line to the job's log; level is info, warning or error."""
        self._hold.log(english(text), values, level)

    def progress(self, fraction: float | None, text: Text = "", **values: Any) -> None:
        """Report how far the step is (0 to 1; None: not known) and what it does; pages see it at once."""
        now = clock()
        whole = fraction is not None and fraction >= 1
        if now - self._reported < PROGRESS_EVERY and not whole:
            return
        self._reported = now
        bounded = None if fraction is None else min(1.0, max(0.0, fraction))
        self._hold.write(progress=bounded, message=english(text)[:255], message_values=values)
        news.tell(self.job)

    def check(self) -> None:
        """A safe place to stop: raises Cancelled, HandOver or Fenced when the step must end here."""
        self.give_back()
        self._hold.ensure()
        if leaving.is_set():
            raise HandOver
        if self.job.state != Job.State.RUNNING or not self._operation.cancellable:
            return
        now = clock()
        if not self._hold.cancel and now - self._asked > CANCEL_EVERY:
            self._asked = now
            self._hold.cancel = self._hold.patiently(self._hold.rows().filter(cancel_requested=True).exists)
        if self._hold.cancel:
            raise Cancelled

    def wait(self, seconds: float, until: Callable[[], bool] = lambda: False, every: float = 0.5) -> bool:
        """Wait until `until()` is true (True) or the time is over (False); ends early like `check`."""
        end = clock() + seconds
        while not until():
            self.check()
            if (rest := end - clock()) <= 0:
                return False
            leaving.wait(min(every, rest))
        return True

    def result(self, **facts: Any) -> None:
        """Add to what the job found or made."""
        self._hold.write(result={**self.job.result, **facts})

    def leftover(self, text: Text, **values: Any) -> None:
        """For undo: name exactly what could not be removed; the job will need attention."""
        entry = [english(text), values]
        if entry not in self.job.leftovers:  # a step that is done again after a crash finds the same
            self._hold.write(leftovers=[*self.job.leftovers, entry])

    def ask(self, what: refresh.What, uuid: str = "") -> None:
        """Have the monitor look again at what this job changed."""
        if self.job.host_id is not None:
            refresh.ask(self.job.host_id, what, uuid)
