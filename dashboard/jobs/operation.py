"""What every change is: one declaration per operation, from which form, REST route, job, audit entry and matrix come."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from django.utils.functional import Promise
from pydantic import BaseModel, ConfigDict

from dashboard.accounts.permissions import PERMISSIONS

if TYPE_CHECKING:
    from dashboard.accounts.models import User
    from dashboard.jobs.context import Context

Text = str | Promise
TargetKind = Literal["guest", "host", "pool", "network", "none"]


class Params(BaseModel):
    """Base of every operation's parameters: typed, nothing unknown, never changed."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


class NoParams(Params):
    """For operations that take none."""


@dataclass(frozen=True)
class Step:
    """One check-then-act step: running it twice is harmless. `undo` takes back what `do` may have done, even half.

    `undo` also runs when `do` found another's thing in its place: record in the plan what is yours
    (`ctx.keep(volume_begun=True)` before making it) and take back only that.
    """

    name: str
    label: Text
    do: Callable[[Context], None]
    undo: Callable[[Context], None] | None = None
    deadline: float = 300.0
    """Seconds after which `do` or `undo` counts as hung: its thread is given up and the job undone without it."""


@dataclass(frozen=True)
class Need:
    """What an operation takes of quotas: all that a new guest has, or what is added to one that is there.

    A new guest (`guests=1`) counts against who asks for it, and its UUID is `plan["uuid"]`; a change counts against the
    owner of the target. What is negative is given back when the job succeeds; `guests=-1`: the guest goes.
    """

    guests: int = 0
    vcpus: int = 0
    memory_kib: int = 0
    disk_bytes: int = 0
    """Virtual size of disks that kvmweb makes."""
    fields: Mapping[str, str] = field(default_factory=dict)
    """Which parameter says so, beside which a refusal is shown: {"memory_kib": "memory_mib"}."""


def _nothing(target: Any, params: Any) -> dict[str, Any]:
    return {}


def _no_errors(user: Any, target: Any, params: Any) -> dict[str, list[Text]]:
    return {}


def _no_need(user: Any, target: Any, params: Any) -> Need | None:
    return None


def _never(target: Any, params: Any) -> Text | None:
    return None


def _the_same(target: Any, params: Any) -> dict[str, Any]:
    return dict(params.model_dump(mode="json"))


@dataclass(frozen=True)
class Many:
    """How an operation is done to many targets at once: one parent job, an ordinary job for each of them."""

    params: type[Params] | None = None
    """What is asked once for all of them; None: the operation's own parameters. Fields with a title are in the dialog."""
    each: Callable[[Any, Any], dict[str, Any]] = _the_same
    """(target, `params`) → the operation's parameters for this target; not asked where `params` is None."""
    typed: bool = False
    """The number of targets must be typed to confirm: what is lost cannot be got back."""


@dataclass(frozen=True)
class Operation:
    """One thing a person may do. Declared once, in its room's `operations.py`, with `register`."""

    name: str
    """"guest.start": noun and verb, unique, stable; part of the REST route and of the audit log."""
    label: Text
    """"Start": the button."""
    permission: str
    target: TargetKind
    steps: Sequence[Step]
    virsh: Callable[[Any, Any], str]
    """(target, params) → the equivalent command lines, one a line."""
    params: type[Params] = NoParams
    refuse: Callable[[Any, Any], Text | None] = _never
    """(target, params or None) → why it does not fit the target's state as mirrored, or None. Shown on the disabled button."""
    check: Callable[[User, Any, Any], dict[str, list[Text]]] = _no_errors
    """(user, target, params) → errors by field that need the database ({"name": ["…"]}); used by forms as one types and by submit."""
    plan: Callable[[Any, Any], dict[str, Any]] = _nothing
    """(target, params) → names fixed before the first side effect (UUIDs, MACs, volume names). JSON-able."""
    reserve: Callable[[User, Any, Any], Need | None] = _no_need
    """(user, target, params) → what it takes of quotas; held from the moment the job is made (`dashboard.jobs.quotas`)."""
    locks: bool = True
    """One active locking job per target. False for what changes nothing or may run beside others (key combinations)."""
    lock_for: Callable[[Any, Any], str] | None = None
    """(target, params) → what it locks in place of its target ("guest-name:3:web1" while creating); "" locks nothing."""
    queue: Literal["actions", "slow"] = "actions"
    cancellable: bool = False
    """Cancel is honoured between steps and wherever `ctx.check()` is called; what was done is then undone."""
    offline: bool = False
    """May be submitted although the host is not live (checking and removing a host)."""
    outlives_target: bool = False
    """Its object is gone before it has ended (the disks of a deleted machine): tried again, it goes on with its own plan."""
    quiet: bool = False
    """Leaves an audit entry but opens no drawer and shows no toast (key combinations, screenshots)."""
    many: Many | None = None
    """Set where it makes sense for many targets at once: then the list and the API offer that by themselves."""
    confirm: Text = ""
    """What will be lost, asked before; "" asks nothing. Pages may say it more exactly."""
    icon: str = ""
    extra: dict[str, Any] = field(default_factory=dict)


OPERATIONS: dict[str, Operation] = {}


def register(operation: Operation) -> Operation:
    """Add an operation to the product; a doubled name or an undeclared permission is a programming error."""
    if operation.name in OPERATIONS:
        raise ValueError(f"operation {operation.name!r} is registered twice")
    if operation.permission not in PERMISSIONS:
        raise ValueError(f"operation {operation.name!r}: permission {operation.permission!r} is not declared")
    OPERATIONS[operation.name] = operation
    return operation
