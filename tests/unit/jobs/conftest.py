"""People, a host with a guest, and a way to declare operations that exist in one test only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import django
import pytest
from pydantic import Field, field_validator

django.setup()  # a conftest named on the command line is read before pytest-django has done so

from dashboard.jobs.operation import OPERATIONS, Operation, Params, Step, register

Declare = Callable[..., Operation]


class Sized(Params):
    """A name and a size."""

    name: str = Field(min_length=1, max_length=8)
    size: int = Field(default=1, ge=1, le=10)
    tags: list[str] = []

    @field_validator("name")
    @classmethod
    def _no_slash(cls, value: str) -> str:
        if "/" in value:
            raise ValueError("No slash, please.")
        return value


@pytest.fixture
def declare() -> Iterator[Declare]:
    """`declare(**fields)`: an operation "test.do" on guests, registered until the test ends."""
    before = dict(OPERATIONS)

    def make(name: str = "test.do", **fields: Any) -> Operation:
        given: dict[str, Any] = {
            "name": name,
            "label": "Test it",
            "permission": "guest.power",
            "target": "guest",
            "steps": [
                Step("one", "First step", lambda context: None),
                Step("two", "Second step", lambda context: None),
            ],
            "virsh": lambda target, params: f"virsh test {target}",
            **fields,
        }
        return register(Operation(**given))

    yield make
    OPERATIONS.clear()
    OPERATIONS.update(before)
