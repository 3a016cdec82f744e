"""What may come out of Redis: messages are JSON with a job's id, everything else is thrown away unread (WEB-7)."""

from __future__ import annotations

import os
import pickle
import uuid
from pathlib import Path
from typing import Any

import pytest
from kombu import Connection
from kombu.serialization import enable_insecure_serializers

from dashboard.jobs import doorbell
from kvmweb.celery import app
from tests.integration.jobs.conftest import Plant


class Bomb:
    """Makes a file when somebody unpickles it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (str(self.path),)


def send(body: bytes, content_type: str, encoding: str, **headers: str) -> None:
    """Put a message as of a Celery client into the queue of jobs."""
    named = {
        "lang": "py",
        "task": doorbell.TASK,
        "id": str(uuid.uuid4()),
        "root_id": "",
        "argsrepr": "",
        "kwargsrepr": "",
    }
    with Connection(app.conf.broker_url) as connection:
        connection.Producer().publish(
            body,
            routing_key="actions",
            content_type=content_type,
            content_encoding=encoding,
            headers=named | headers,
            serializer=None,
        )


@pytest.mark.parametrize("content_type", ["application/x-python-serialize", "application/x-yaml"])
def test_a_pickled_message_is_refused_unread_and_the_worker_goes_on(plant: Plant, content_type: str) -> None:
    enable_insecure_serializers()  # of this process, the attacker's
    canary = plant.folder / "unpickled"
    plant.worker()
    send(pickle.dumps(([Bomb(canary)], {}, {})), content_type, "binary")
    plant.until(lambda: "ContentDisallowed" in plant.logs() or "decode" in plant.logs(), 20, "the worker says so")
    assert plant.ended(plant.submit()).state == "succeeded"
    assert not canary.exists()


def test_a_message_that_names_no_job_harms_nothing(plant: Plant) -> None:
    plant.worker()
    for task, body in (
        (doorbell.TASK, b'[["; rm -rf /"], {}, {}]'),
        (doorbell.TASK, b'[[{"__class__": "x"}], {}, {}]'),
        ("os.system", b'[["touch x"], {}, {}]'),
        (doorbell.TASK, b"not json"),
    ):
        send(body, "application/json", "utf-8", task=task)
    assert plant.ended(plant.submit()).state == "succeeded"
    assert not plant.calls() or all("rm" not in call for call in plant.calls())


def test_tasks_take_nothing_but_an_id_and_leave_no_result() -> None:
    ours = {name for name in app.tasks if not name.startswith("celery.")}
    app.loader.import_default_modules()
    ours |= {name for name in app.tasks if not name.startswith("celery.")}
    assert ours == {doorbell.TASK}
    assert app.conf.accept_content == ["json"]
    assert app.conf.task_ignore_result is True
    assert app.conf.result_backend is None
