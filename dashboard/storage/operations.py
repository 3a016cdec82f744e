"""What is done to pools: looking again for volumes, starting."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from django.utils.translation import gettext_lazy as _

from dashboard.inventory.models import Pool
from dashboard.jobs.operation import NoParams, Operation, Step, Text, register
from dashboard.virt import storage

if TYPE_CHECKING:
    from dashboard.jobs.context import Context


def _refresh(ctx: Context) -> None:
    storage.refresh_pool(ctx.conn, ctx.uuid)
    ctx.ask("pool", ctx.uuid)


def _start(ctx: Context) -> None:
    storage.start_pool(ctx.conn, ctx.uuid)
    ctx.ask("pool", ctx.uuid)


def _not_running(pool: Pool, params: NoParams | None) -> Text | None:
    return None if pool.state == "running" else _("The pool is not started.")


def _is_running(pool: Pool, params: NoParams | None) -> Text | None:
    return _("The pool is started already.") if pool.state == "running" else None


register(
    Operation(
        name="pool.refresh",
        label=_("Look for new volumes"),
        permission="guest.create",
        target="pool",
        steps=(Step("refresh", _("Look for new volumes"), _refresh),),
        virsh=lambda pool, params: f"virsh pool-refresh {shlex.quote(pool.name)}",
        refuse=_not_running,
        icon="refresh-cw",
    )
)
register(
    Operation(
        name="pool.start",
        label=_("Start"),
        permission="host.manage",
        target="pool",
        steps=(Step("start", _("Start the pool"), _start),),
        virsh=lambda pool, params: f"virsh pool-start {shlex.quote(pool.name)}",
        refuse=_is_running,
        icon="play",
    )
)
