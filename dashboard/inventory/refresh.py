"""Asking the monitor, from another process, to look at something again."""

from __future__ import annotations

import json
import logging
from typing import Literal

from dashboard.inventory import bus

log = logging.getLogger(__name__)

What = Literal["guest", "pool", "volumes", "network", "host", "all"]


def ask(host_id: int, what: What, uuid: str = "") -> None:
    """Have the monitor look again: at one guest, pool, network (by uuid), at a pool's volumes, at everything ("all"),
    or at the host's own row, which was added, changed or removed ("host").

    Only a hint: without Redis or monitor it is lost, and the next comparison finds the same.
    """
    try:
        bus.client().publish(bus.ASK, json.dumps({"host": host_id, "what": what, "uuid": str(uuid)}))
    except bus.BusError as error:
        log.warning("Redis is away, the monitor was not asked to look: %s", error)
