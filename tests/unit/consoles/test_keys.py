"""Key combinations: names that virsh knows, codes that Linux knows."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from pydantic import ValidationError

from dashboard.consoles.keys import COMBINATIONS, KEYS
from dashboard.consoles.operations import SendKeysParams
from dashboard.inventory.models import Guest
from dashboard.jobs.operation import OPERATIONS

HEADER = Path("/usr/include/linux/input-event-codes.h")


def test_every_key_has_the_code_that_linux_gives_it() -> None:
    known = dict(re.findall(r"#define\s+(KEY_\w+)\s+(\d+)\b", HEADER.read_text()))
    assert {name: int(known[name]) for name in KEYS} == KEYS


def test_every_combination_can_be_sent() -> None:
    for group in COMBINATIONS:
        for combination in group:
            assert SendKeysParams(keys=list(combination.keys))
            assert len(set(combination.keys)) == len(combination.keys)


def test_the_menu_holds_the_twelve_consoles_of_linux() -> None:
    labels = [combination.label for group in COMBINATIONS for combination in group]
    assert [f"Ctrl+Alt+F{number}" for number in range(1, 13)] == [
        label for label in labels if label.startswith("Ctrl+Alt+F")
    ]
    assert len(set(labels)) == len(labels)


@pytest.mark.parametrize("keys", [[], ["KEY_NOPE"], ["29"], ["KEY_ESC; reboot"], ["KEY_ESC"] * 9, "KEY_ESC"])
def test_other_keys_are_refused(keys: object) -> None:
    with pytest.raises(ValidationError):
        SendKeysParams.model_validate({"keys": keys})


def test_the_command_shown_is_one_that_virsh_takes() -> None:
    guest = Guest(name="it's $(mine)", uuid="00000000-0000-4000-8000-000000000001", state="running")
    operation = OPERATIONS["guest.send_keys"]
    line = operation.virsh(guest, SendKeysParams(keys=["KEY_LEFTCTRL", "KEY_LEFTALT", "KEY_DELETE"]))
    words = subprocess.run(["sh", "-c", f"printf '%s\\n' {line}"], capture_output=True, text=True, check=True).stdout
    assert words.splitlines() == [
        "virsh", "send-key", "it's $(mine)", "--codeset", "linux", "--holdtime", "80",
        "KEY_LEFTCTRL", "KEY_LEFTALT", "KEY_DELETE",
    ]  # fmt: skip


@pytest.mark.parametrize(("state", "refused"), [("running", False), ("paused", True), ("shutoff", True)])
def test_keys_go_to_running_guests_only(state: str, refused: bool) -> None:
    assert bool(OPERATIONS["guest.send_keys"].refuse(Guest(state=state), None)) is refused
