"""What a person does to a guest through its console beside typing: combinations of keys, sent through libvirt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from django.utils.translation import gettext_lazy as _
from pydantic import AfterValidator, Field

from dashboard.consoles.keys import KEYS
from dashboard.guests.operations.common import NEEDS_RUNNING, by_state, virsh, virsh_word
from dashboard.inventory.models import Guest
from dashboard.jobs.operation import Operation, Params, Step, register
from dashboard.virt import change

if TYPE_CHECKING:
    from dashboard.jobs.context import Context

HOLD_MS = 80
"""How long the keys are held: long enough for firmware that polls, short enough not to repeat."""


def _known(key: str) -> str:
    if key not in KEYS:
        raise ValueError(f"{key} is not a key that can be sent")
    return key


Key = Annotated[str, AfterValidator(_known), Field(json_schema_extra={"enum": list(KEYS)})]


class SendKeysParams(Params):
    """Keys pressed together, by the names that virsh knows."""

    keys: list[Key] = Field(min_length=1, max_length=8)


def _press(ctx: Context) -> None:
    if ctx.plan.get("pressed"):
        return  # a worker died after pressing: once too few is better than twice
    ctx.keep(pressed=True)
    change.send_keys(ctx.conn, ctx.uuid, [KEYS[key] for key in ctx.params.keys], HOLD_MS)


def _virsh(guest: Guest, params: SendKeysParams) -> str:
    return virsh("send-key", virsh_word(guest), "--codeset", "linux", "--holdtime", str(HOLD_MS), *params.keys)


register(
    Operation(
        name="guest.send_keys",
        label=_("Send keys"),
        permission="guest.console",
        target="guest",
        params=SendKeysParams,
        steps=[Step(name="press", label=_("Press the keys"), do=_press, deadline=30)],
        virsh=_virsh,
        refuse=by_state(NEEDS_RUNNING),
        locks=False,
        quiet=True,
        icon="keyboard",
    )
)
