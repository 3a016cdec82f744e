"""Schemathesis over the whole API: what its own description allows and forbids, sent to the real web process."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from pathlib import Path
from typing import Any

from dashboard.accounts import tokens
from dashboard.inventory.models import Guest, Host, Network, Pool, Volume
from dashboard.jobs.models import Job
from tests.integration.inventory.mirror import ROOT, Mirror

LEFT_OUT = {"listen": "an event stream does not end by itself; tests/integration/api/test_events.py holds it"}
"""Operation ids that are not attacked, and why."""


def furnish() -> None:
    """Something of everything, so that answers are not all empty."""
    states = ("running", "shutoff", "paused")
    for number in range(2):
        host = Host.objects.create(name=f"h{number}", transport="test", status="live", kvm=True, memory_kib=1 << 40)
        pool = Pool.objects.create(host=host, uuid=uuid.uuid4(), name="default", state="running", capacity=1 << 40)
        Volume.objects.create(pool=pool, name="disk.qcow2", kind="file", format="qcow2", capacity=1 << 30)
        Network.objects.create(host=host, uuid=uuid.uuid4(), name="default", active=True, subnets=["192.0.2.0/24"])
        for number_here in range(90):  # nobody ends their jobs, so each takes one wish
            state = states[number_here % 3]
            Guest.objects.create(
                host=host, uuid=uuid.uuid4(), name=f"g{number}-{number_here}", state=state, vcpus=2, memory_kib=1 << 20,
                saved=state == "shutoff" and number_here % 2 == 0,
            )  # fmt: skip
        Job.objects.create(
            operation="host.check", host=host, object_kind="host", object_key=str(host.pk), state="failed"
        )


CONFIG = """
[checks.negative_data_rejection]
# What is too large is refused before anybody reads what it says.
expected-statuses = ["400", "401", "403", "404", "405", "406", "409", "413", "415", "422", "429"]
"""


def places() -> str:
    """What is there, for the hooks."""
    found: dict[str, list[Any]] = {"hosts": [(host.pk, host.pk, host.name) for host in Host.objects.all()]}
    for name, model in (("guests", Guest), ("pools", Pool), ("networks", Network)):
        found[name] = [(str(key), *rest) for key, *rest in model.objects.values_list("uuid", "host_id", "name")]
    found["jobs"] = [(str(key), 0, "") for key in Job.objects.values_list("pk", flat=True)]
    return json.dumps(found)


def attack(mirror: Mirror, *options: str, seconds: float) -> str:
    """Run it with an administrator's token; what it says. Anything that it finds is an AssertionError."""
    furnish()
    _token, text = tokens.issue(mirror.person("ada", role="administrator"), "attack")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    mirror.start("web", "-m", "uvicorn", "kvmweb.asgi:application", "--port", str(port), "--log-level", "warning")
    url = f"http://127.0.0.1:{port}/api/v1/openapi.json"
    header = f"Authorization: Bearer {text}"

    def answers() -> bool:
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {text}"})
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310
                return answer.status == 200
        except OSError:
            return False

    mirror.until(answers, 30, "the web process answers")
    hooks = {
        "SCHEMATHESIS_HOOKS": "tests.integration.api.attack_hooks",
        "PYTHONPATH": str(ROOT),
        "ATTACK_PLACES": places(),
    }
    config = mirror.folder / "schemathesis.toml"
    config.write_text(CONFIG)
    argv = [
        str(Path(sys.executable).with_name("st")),
        "--config-file",
        str(config),
        "run",
        url,
        "-H",
        header,
        "--checks",
        "all",
        "--no-color",
    ]
    argv += ["--request-timeout", "40"]
    for name in LEFT_OUT:
        argv += ["--exclude-operation-id", name]
    begun = time.monotonic()
    run = subprocess.run(
        [*argv, *options], cwd=mirror.folder, env={**os.environ, **hooks}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds, check=False,
    )  # fmt: skip
    said = f"{run.stdout}\n{time.monotonic() - begun:.0f} s"
    assert run.returncode == 0, said
    assert mirror.processes["web"].poll() is None, mirror.logs()
    return said
