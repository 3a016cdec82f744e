"""The one thread of a worker process that renews the leases of all its jobs, hears of cancels, and gives up hung steps."""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import Error as DatabaseFailure
from django.db import close_old_connections
from django.db.models import F
from django.db.models.functions import Now
from django.utils.translation import gettext_noop

from dashboard.jobs import doorbell, family, lease, news, patience
from dashboard.jobs.errors import Fenced
from dashboard.jobs.lease import Hold, clock, lease_end
from dashboard.jobs.models import Job

logger = logging.getLogger(__name__)

TICK = 1.0
HUNG = gettext_noop("This step did not end in time and was given up. The host may hang: look at what it says.")
UNDO_HUNG = gettext_noop("%(step_text)s: taking this back did not end in time.")

_holds: dict[uuid.UUID, Hold] = {}
_guard = threading.Lock()


@contextmanager
def keeping(hold: Hold) -> Iterator[None]:
    """Renew the lease of `hold` while the block runs."""
    with _guard:
        _holds[hold.job.pk] = hold
    try:
        yield
    finally:
        with _guard:
            if _holds.get(hold.job.pk) is hold:
                del _holds[hold.job.pk]


def holds() -> list[Hold]:
    """What this process works on."""
    with _guard:
        return list(_holds.values())


def works_on(job_id: uuid.UUID) -> bool:
    """Whether a thread of this process is at that job already."""
    with _guard:
        return job_id in _holds


def serve(stop: threading.Event) -> None:
    """Renew every few seconds and look at deadlines every second, until `stop`."""
    renewed = clock()
    while not stop.wait(TICK):
        try:
            for hold in holds():
                if hold.deadline is not None and clock() > hold.deadline:
                    give_up(hold)
            if clock() - renewed >= lease.RENEW:
                renewed = clock()
                renew()
            family.flush()
        except DatabaseFailure as error:
            patience.say("leases were not renewed; trying again", error)
            close_old_connections()


def renew() -> None:
    """Renew all leases with one write; a job that is not ours any more is marked lost."""
    kept = holds()
    if not kept:
        return
    asked = clock()
    ours = Job.objects.filter(pk__in=[hold.job.pk for hold in kept], state__in=Job.ACTIVE)
    ours.filter(holder=lease.me()).update(lease_until=lease_end())
    found = {pk: (attempt, cancel) for pk, attempt, cancel in ours.values_list("pk", "attempt", "cancel_requested")}
    for hold in kept:
        attempt, cancel = found.get(hold.job.pk, (None, False))
        if attempt == hold.attempt:
            hold.renewed = max(hold.renewed, asked)
            hold.cancel = hold.cancel or cancel
        else:
            hold.lost = True


def give_up(hold: Hold) -> None:
    """Take the job from a thread that hangs: it is fenced, and another thread undoes without it."""
    job = hold.job
    logger.error("job %s: step %s hangs and is given up", job.pk, job.step)
    try:
        _take_away(hold)
    except Fenced:
        logger.warning("job %s: somebody else has it already", job.pk)
    hold.lost = True
    with _guard:
        if _holds.get(job.pk) is hold:
            del _holds[job.pk]
    hold.left.set()
    if (fresh := Job.objects.filter(pk=job.pk).first()) and fresh.state in Job.ACTIVE:
        news.tell(fresh)
        doorbell.ring(str(job.pk), job.queue)


def _take_away(hold: Hold) -> None:
    """Write that the step was given up, under a new fencing number; the last step of an undo ends the job."""
    job = hold.job
    fields = {"attempt": F("attempt") + 1, "holder": "", "lease_until": None, "rung_at": Now(), "crashes": 0}
    hold.log(HUNG, level="error")
    if job.state != Job.State.UNDOING:
        error = {"error_code": "hung", "error": HUNG, "error_values": {}, "error_detail": ""}
        hold.rows().update(state=Job.State.UNDOING, **error, **fields)
        return
    left = [*job.leftovers, [UNDO_HUNG, {"step_text": job.steps[job.step]}]]
    if job.step == 0:
        hold.finish(Job.State.NEEDS_ATTENTION, leftovers=left)
    else:
        hold.rows().update(leftovers=left, step=job.step - 1, **fields)
