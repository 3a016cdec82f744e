"""What is done to networks: starting."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from django.utils.translation import gettext_lazy as _

from dashboard.inventory.models import Network
from dashboard.jobs.operation import NoParams, Operation, Step, Text, register
from dashboard.virt import networks

if TYPE_CHECKING:
    from dashboard.jobs.context import Context


def _start(ctx: Context) -> None:
    networks.start_network(ctx.conn, ctx.uuid)
    ctx.ask("network", ctx.uuid)


def _is_active(network: Network, params: NoParams | None) -> Text | None:
    return _("The network is started already.") if network.active else None


register(
    Operation(
        name="network.start",
        label=_("Start"),
        permission="host.manage",
        target="network",
        steps=(Step("start", _("Start the network"), _start),),
        virsh=lambda network, params: f"virsh net-start {shlex.quote(network.name)}",
        refuse=_is_active,
        icon="play",
    )
)
