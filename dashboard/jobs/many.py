"""Many targets, one wish: a parent job, and for each target a child that waits, or has failed already with the reason."""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext, override
from pydantic import ValidationError

from dashboard.accounts.access import can, can_somewhere, know
from dashboard.accounts.models import User
from dashboard.inventory.models import Guest
from dashboard.jobs import family, news, quotas, service
from dashboard.jobs.errors import Denied, HostNotLive, Invalid, Locked, Refused, SubmitError
from dashboard.jobs.models import MANY, PARENT, Job
from dashboard.jobs.operation import OPERATIONS, Many, Need, Operation, Params
from dashboard.jobs.targets import Described, describe
from dashboard.jobs.wording import english, plain_errors

MOST = 10_000
"""More targets at once than anybody means."""
NAMED = 100
"""Most names in the parent's command line; of more it reads a file."""
RACES = 3
"""How often another's job may come between our look and our writing."""
CODES: dict[type[SubmitError], str] = {
    Denied: "denied",
    HostNotLive: "unreachable",
    Locked: "locked",
    Refused: "state",
    Invalid: "invalid",
}


@dataclass
class _Wish:
    """One target's part: its row, and what it takes of quotas."""

    job: Job
    need: Need | None = None


class AnotherNumber(SubmitError):
    """There are more or fewer targets than the person confirmed; `number`: how many there are now."""

    def __init__(self, number: int) -> None:
        said = ngettext("%(n)s machine is meant now.", "%(n)s machines are meant now.", number)
        super().__init__(said % {"n": number}, number=number)
        self.number = number


def params_of(declared: Operation) -> type[Params]:
    """What is asked once for all targets."""
    return (declared.many and declared.many.params) or declared.params


def submit(
    *,
    user: User,
    operation: str,
    targets: Sequence[Guest],
    params: dict[str, Any] | None = None,
    number: int | None = None,
    idempotency_key: str | None = None,
    source_ip: str = "",
) -> Job:
    """Make the parent and its children, all in one transaction, and ring for the first of them.

    `targets`: with their hosts, and only those that the person may see. `number`: how many the person confirmed.
    Raises KeyError for an operation that is not for many, Denied, Invalid, Refused (nothing is meant), AnotherNumber.
    """
    declared = OPERATIONS[operation]
    if declared.many is None:
        raise KeyError(operation)
    facts = Described("guests", "", f"{len(targets)} virtual machines", None)
    if not can_somewhere(user, declared.permission):
        service.note_denied(declared, facts, user, source_ip)
        raise Denied(declared.permission)
    if (former := service.former_of(user, idempotency_key, declared, facts)) is not None:
        return former
    typed = _typed(declared, params or {})
    _confirmed(declared.many, len(targets), number)
    parent = Job(
        operation=operation,
        queue=PARENT,
        object_kind=facts.kind,
        object_name=facts.name,
        params=typed.model_dump(mode="json"),
        plan={"number": len(targets)},
        state=Job.State.RUNNING,
        started_at=timezone.now(),
        idempotency_key=idempotency_key or None,
    )
    service.sign(parent, user, source_ip)
    return _insert(parent, declared, facts, targets, typed)


def _typed(declared: Operation, params: dict[str, Any]) -> Params:
    model = params_of(declared)
    try:
        return model.model_validate(params)
    except ValidationError as error:
        raise Invalid(plain_errors(error)) from error


def _confirmed(many: Many, found: int, number: int | None) -> None:
    if not found:
        raise Refused(_("None of these machines is there, or you may not see them."))
    if found > MOST:
        raise Refused(_("At most %(n)s machines at once.") % {"n": MOST})
    if number is None and many.typed:
        raise Invalid({"number": [_("Enter how many machines it is about: %(n)s.") % {"n": found}]})
    if number is not None and number != found:
        raise AnotherNumber(found)


def _insert(parent: Job, declared: Operation, facts: Described, targets: Sequence[Guest], typed: Params) -> Job:
    """Write all rows and audit entries. Another's job that slips in between costs its target, not the rest."""
    for attempt in range(RACES):
        wishes = _wishes(parent, declared, targets, typed)
        parent.virsh = _loop([wish.job for wish in wishes])
        try:
            with transaction.atomic():
                _write(parent, wishes)
        except IntegrityError:
            if parent.created_by is not None:
                former = service.former_of(parent.created_by, parent.idempotency_key, declared, facts)
                if former is not None:
                    return former
            if attempt == RACES - 1:
                raise
        else:
            break
    parent.refresh_from_db()
    return parent


def _write(parent: Job, wishes: list[_Wish]) -> None:
    parent.save(force_insert=True)
    children = [wish.job for wish in wishes]
    Job.objects.bulk_create(children, batch_size=500)
    for wish in wishes:
        if wish.need is not None and wish.job.state == Job.State.QUEUED:
            _reserve(wish)
    news.note_all([parent, *children], "start")
    news.note_all([child for child in children if child.state == Job.State.FAILED], "end")
    transaction.on_commit(lambda: _announce(parent, children), robust=True)


def _announce(parent: Job, children: list[Job]) -> None:
    news.tell(parent)
    news.tell_all([child for child in children if child.state == Job.State.QUEUED])
    family.settle(parent.pk)
    family.ring()


def _reserve(wish: _Wish) -> None:
    """Take the child's part of the quota, or fail it with the reason."""
    try:
        with transaction.atomic():
            quotas.reserve(wish.job, wish.need)
    except SubmitError as error:
        _fail(wish.job, error)
        wish.job.save()


# -- the children


def _wishes(parent: Job, declared: Operation, targets: Sequence[Guest], typed: Params) -> list[_Wish]:
    """A row for each target; texts are kept in English, as readers have languages of their own."""
    user = parent.created_by
    assert user is not None  # noqa: S101 - `submit` has just written it
    know([user])
    holders = _holders(targets)
    with override(None):
        wishes = [_wish(user, declared, target, typed, holders) for target in targets]
    for wish in wishes:
        job = wish.job
        job.parent, job.queue, job.rung_at = parent, MANY, None
        job.created_by, job.created_by_name = user, parent.created_by_name
        job.source_ip, job.token = parent.source_ip, parent.token
    return wishes


def _holders(targets: Sequence[Guest]) -> dict[str, Job]:
    """The active jobs that hold any lock, by its name: one query for all targets, or few."""
    active = Job.objects.filter(state__in=Job.ACTIVE).exclude(lock="")
    hosts = {target.host_id for target in targets}
    return {job.lock: job for job in active.filter(Q(host_id__in=hosts) | Q(host__isnull=True))}


def _wish(user: User, declared: Operation, target: Guest, typed: Params, holders: dict[str, Job]) -> _Wish:
    facts = describe(target)
    try:
        if not can(user, declared.permission, target):
            raise Denied(declared.permission)
        own = _own(declared, target, typed)
        checked, lock = service.checked(user, declared, target, facts, own, holders.get)
        job = service.row(declared, facts, target, checked)
        job.lock = lock
        return _Wish(job, declared.reserve(user, target, checked))
    except SubmitError as error:
        bare = Job(operation=declared.name, host=facts.host, host_name=facts.host.name if facts.host else "")
        bare.object_kind, bare.object_key, bare.object_name = facts.kind, facts.key, facts.name
        bare.steps = [english(step.label) for step in declared.steps]
        _fail(bare, error)
        return _Wish(bare)


def _own(declared: Operation, target: Guest, typed: Params) -> dict[str, Any] | Params:
    """The target's own parameters: those that were asked for all, unless the operation makes others of them."""
    assert declared.many is not None  # noqa: S101 - `submit` has looked
    return typed if declared.many.params is None else declared.many.each(target, typed)


def _fail(job: Job, error: SubmitError) -> None:
    """End a child before it began, with the reason."""
    job.state, job.finished_at, job.lock = Job.State.FAILED, timezone.now(), ""
    job.error_code = next((code for kind, code in CODES.items() if isinstance(error, kind)), "refused")
    job.error = english(error.reason)
    if isinstance(error, Denied):
        job.error, job.error_values = error.kept()
    if isinstance(error, Invalid):
        job.error = " ".join(str(text) for texts in error.errors.values() for text in texts)
    if isinstance(error, Locked):
        job.result = {"in_the_way": str(error.job.pk)}


# -- the equivalent command lines


def _loop(children: Iterable[Job]) -> str:
    """A shell loop for each host and form of command line, over the machines that it is about."""
    forms: dict[tuple[str, str], list[str]] = defaultdict(list)
    for child in children:
        if child.state == Job.State.QUEUED:
            line, word = _general(child)
            forms[child.host_name, line].append(word)
    lines: list[str] = []
    for (host, line), words in forms.items():
        if len(forms) > NAMED:
            break
        lines.append(f"# {host}")
        if len(words) > NAMED:
            lines.append(f"while read -r guest; do {line}; done < guests-of-{host}.txt")
        else:
            lines.append(f"for guest in {shlex.join(words)}; do {line}; done")
    return "\n".join(lines)


def _general(child: Job) -> tuple[str, str]:
    """The child's command lines with "$guest" in place of its name or UUID, and that word."""
    commands = [shlex.split(line) for line in child.virsh.splitlines()]
    name = child.object_name if any(child.object_name in words[2:] for words in commands) else child.object_key
    lines = [
        " ".join('"$guest"' if place > 1 and word == name else shlex.quote(word) for place, word in enumerate(words))
        for words in commands
    ]
    return "; ".join(lines), name


# -- once more


def retry(user: User, parent: Job, *, source_ip: str = "") -> Job:
    """The same once more, for the targets that were not done and are still there. Raises what `submit` raises."""
    wanted = parent.children.exclude(state=Job.State.SUCCEEDED).values_list("host_id", "object_key")
    places = {(host, key) for host, key in wanted if host is not None}
    keys, hosts = {key for _host, key in places}, {host for host, _key in places}
    there = Guest.objects.filter(host_id__in=hosts, uuid__in=keys).select_related("host").order_by("name", "pk")
    targets = [one for one in there if (one.host_id, str(one.uuid)) in places and can(user, "guest.view", one)]
    if not targets:
        raise Refused(_("What this job was for no longer exists."))
    return submit(
        user=user,
        operation=parent.operation,
        targets=targets,
        params=parent.params,
        number=len(targets),
        source_ip=source_ip,
    )
