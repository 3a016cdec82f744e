"""The worker process: Celery without its command line, whose shell alone would cost 8 MiB of every idle machine."""

from __future__ import annotations

import os
import sys
import warnings

from kvmweb import env
from kvmweb.celery import app

QUEUES = ["actions", "slow", "many"]


def main() -> int:
    """Run jobs until told to stop; all queues, in threads that share their connections to hosts."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "kvmweb.settings")
    # kvmweb manages this machine's guests as root by design, and takes no pickles.
    warnings.filterwarnings("ignore", message="You're running the worker with superuser privileges")
    worker = app.Worker(
        pool_cls="threads",
        concurrency=env.integer("KVMWEB_WORKER_THREADS"),
        queues=QUEUES,
        loglevel=env.text("KVMWEB_LOG_LEVEL"),
        quiet=True,
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
    )
    worker.start()
    return int(worker.exitcode or 0)


if __name__ == "__main__":
    sys.exit(main())
