"""What must be true after a restore: no old job runs, nobody is signed in, nothing looks fresh, and the log says so."""

from __future__ import annotations

import logging
from typing import Any

import redis
from django.conf import settings
from django.contrib.sessions.models import Session
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils.translation import gettext_noop

from dashboard.accounts import audit
from dashboard.accounts.models import PasswordLink
from dashboard.accounts.people import SETUP_TOKEN
from dashboard.inventory.models import Host
from dashboard.jobs import news, quotas
from dashboard.jobs.models import Job
from dashboard.upkeep.archive import Manifest

log = logging.getLogger(__name__)

RESTORED = gettext_noop(
    "kvmweb was restored from a backup of %(made_at)s, when this job had not ended. It was not run again. "
    "Look at the host: what the job did until or after the backup is there."
)
QUEUES = ("actions", "slow", "many", "unacked", "unacked_index", "unacked_mutex")


def settle(manifest: Manifest) -> dict[str, int]:
    """Write it all in one transaction; how many of what."""
    with transaction.atomic():
        jobs = _end_jobs(manifest)
        hosts = Host.objects.filter(enabled=True).update(
            status=Host.Status.CONNECTING, status_text="", status_detail="", connected_at=None
        )
        Session.objects.all().delete()
        PasswordLink.objects.all().delete()
        counted = {"jobs": jobs, "hosts": hosts}
        facts = {"backup_of": manifest.made_at, "from": manifest.machine, "version": manifest.version, **counted}
        audit.record(actor=None, action="kvmweb.restore", phase="event", result="ok", detail=facts)
    SETUP_TOKEN.unlink(missing_ok=True)
    return counted


def _end_jobs(manifest: Manifest) -> int:
    """Every job that had not ended ends here, children first; the keys with which clients may ask again stay."""
    values = {"made_at": manifest.made_at}
    active = Job.objects.filter(state__in=Job.ACTIVE).select_related("created_by", "host")
    fields: dict[str, Any] = {
        "state": Job.State.NEEDS_ATTENTION,
        "error_code": "restored",
        "error": RESTORED,
        "error_values": values,
        "progress": None,
        "holder": "",
        "lease_until": None,
        "finished_at": Now(),
    }
    count = 0
    for job in active.order_by(F("parent").asc(nulls_last=True), "created_at"):
        Job.objects.filter(pk=job.pk).update(**fields, attempt=F("attempt") + 1)
        job.refresh_from_db()
        job.lines.create(text=RESTORED, values=values, level="warning")
        quotas.settle(job)
        news.note(job, "end", job.state)
        count += 1
    return count


def empty_redis() -> bool:
    """Forget rings, console tickets and what pages were told; False where Redis is not running, and so holds nothing.

    A Redis of one's own may hold other things, too: only what is ours goes.
    """
    client = redis.Redis.from_url(settings.REDIS_URL, socket_timeout=5, socket_connect_timeout=2)
    try:
        for pattern in ("kvmweb:*", "cache:*"):
            for key in client.scan_iter(pattern, count=500):
                client.delete(key)
        client.delete(*QUEUES)
    except redis.RedisError as error:
        log.debug("Redis is not running: %s", error)
        return False
    finally:
        client.close()
    return True
