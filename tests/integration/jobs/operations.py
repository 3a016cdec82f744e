"""Operations of these tests only: their world is a folder, its files are what a real one would make on a host.

Every effect is one line in `calls` ("make two <pid>"). A file `kill-<place>` makes the worker kill itself there, once;
`always-kill-<place>` each time; `fail-<place>` makes the step fail there; `hold-<place>` waits until it is removed.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from dashboard.jobs.context import Context
from dashboard.jobs.errors import Failed
from dashboard.jobs.operation import Many, Operation, Params, Step, register
from dashboard.virt.errors import VirtError

STEPS = ("one", "two", "three")


def world() -> Path:
    return Path(os.environ["JOBS_TEST_WORLD"])


def place(name: str) -> None:
    """A place where things may go wrong."""
    if (world() / f"always-kill-{name}").exists():
        os.kill(os.getpid(), signal.SIGKILL)
    trap = world() / f"kill-{name}"
    if trap.exists():
        trap.unlink()
        os.kill(os.getpid(), signal.SIGKILL)
    while (world() / f"hold-{name}").exists():
        time.sleep(0.02)
    away = world() / f"away-{name}"
    if away.exists():
        left = int(away.read_text()) - 1
        away.write_text(str(left)) if left else away.unlink()
        raise VirtError("unreachable", "Connection refused")
    if (world() / f"fail-{name}").exists():
        raise Failed("The disk %(name)s cannot be made.", code="no_space", detail="ENOSPC", name=name)
    if (world() / f"bug-{name}").exists():
        raise RuntimeError("boom")


def effect(line: str) -> None:
    with (world() / "calls").open("a") as calls:
        calls.write(f"{line} {os.getpid()}\n")


def make(name: str, context: Context) -> None:
    """Check, then act: a file that is there is not made again."""
    place(f"before-{name}")
    thing = world() / "things" / f"{name}-{context.plan['tail']}"
    context._hold.ensure()  # as asking for the connection does
    if not thing.exists():
        effect(f"make {name}")
        thing.touch()
    place(f"after-{name}")


def unmake(name: str, context: Context) -> None:
    place(f"before-undo-{name}")
    thing = world() / "things" / f"{name}-{context.plan['tail']}"
    if thing.exists():
        effect(f"unmake {name}")
        thing.unlink()
    place(f"after-undo-{name}")


def step(name: str, deadline: float = 300.0) -> Step:
    return Step(
        name, f"Make {name}", lambda context: make(name, context), lambda context: unmake(name, context), deadline
    )


class Tail(Params):
    tail: str = "x"


def declare(name: str, **fields: object) -> None:
    given: dict[str, object] = {
        "name": name,
        "label": "Make three things",
        "permission": "guest.power",
        "target": "none",
        "params": Tail,
        "plan": lambda target, params: {"tail": params.tail},
        "lock_for": lambda target, params: f"thing:{params.tail}",
        "steps": [step(name) for name in STEPS],
        "virsh": lambda target, params: "virsh make",
        **fields,
    }
    register(Operation(**given))  # type: ignore[arg-type]


def _stuck(context: Context) -> None:
    effect("stuck")
    while (world() / "stuck").exists():
        time.sleep(0.05)
    effect("unstuck")
    context.keep(unstuck=True)
    effect("written after being given up")


def _refuse(context: Context) -> None:
    raise Failed("There is no space.", code="no_space")


def _patient(context: Context) -> None:
    effect("patient")
    context.progress(0.5, "Half of it")
    context.wait(60)


def _stamp(context: Context) -> None:
    context.result(began=time.time())


def _look(context: Context) -> None:
    first = context.conn
    context.check()
    context.result(host=context.conn.getHostname(), uri=first.getURI())


declare(
    "test.host",
    target="host",
    lock_for=None,
    plan=lambda target, params: {},
    steps=[Step("look", "Look", _look, deadline=4.0)],
)
declare(
    "test.hold",
    target="guest",
    lock_for=None,
    many=Many(),
    plan=lambda target, params: {"tail": target.name},
    steps=[step("one")],
    cancellable=True,
)
declare("test.make")
declare("test.cancellable", cancellable=True)
declare("test.slow", queue="slow")
declare("test.stuck", steps=[step("one"), Step("stuck", "Hang", _stuck, deadline=1.0)])
declare(
    "test.stuck_undo",
    steps=[step("one"), Step("stuck", "Hang", _refuse, _stuck, deadline=1.0)],
)
declare("test.patient", steps=[step("one"), Step("wait", "Wait", _patient)], cancellable=True)
declare("test.stamp", steps=[Step("stamp", "Note the time", _stamp)], lock_for=lambda target, params: "")
