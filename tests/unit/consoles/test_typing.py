"""Text as keystrokes: the browser's own module, run by node, against a US keyboard written down row by row."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

MODULE = Path(__file__).resolve().parents[3] / "static" / "js" / "consoles" / "typing.js"
ROWS = [
    ("`1234567890-=", "~!@#$%^&*()_+", ["Backquote", *(f"Digit{n}" for n in "1234567890"), "Minus", "Equal"]),
    (
        "qwertyuiop[]\\",
        "QWERTYUIOP{}|",
        [*(f"Key{c}" for c in "QWERTYUIOP"), "BracketLeft", "BracketRight", "Backslash"],
    ),
    ("asdfghjkl;'", 'ASDFGHJKL:"', [*(f"Key{c}" for c in "ASDFGHJKL"), "Semicolon", "Quote"]),
    ("zxcvbnm,./", "ZXCVBNM<>?", [*(f"Key{c}" for c in "ZXCVBNM"), "Comma", "Period", "Slash"]),
]


def node(script: str) -> Any:
    """What a script that imports the module prints as JSON."""
    done = subprocess.run(
        ["node", "--input-type=module", "--eval", f"import * as typing from {json.dumps(MODULE.as_uri())};\n{script}"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def keys() -> dict[str, dict[str, Any] | None]:
    """The key of every character from blank to tilde, and some beyond."""
    text = "".join(map(chr, range(32, 127))) + "\n\t" + "äß€中\x1b\0"
    result: dict[str, Any] = node(
        f"console.log(JSON.stringify(Object.fromEntries([...{json.dumps(text)}].map((c) => [c, typing.keyFor(c)]))))"
    )
    return result


def test_every_printable_character_has_its_key_and_shift(keys: dict[str, dict[str, Any] | None]) -> None:
    expected = {" ": ("Space", False)}
    for plain, shifted, codes in ROWS:
        expected |= {character: (code, False) for character, code in zip(plain, codes, strict=True)}
        expected |= {character: (code, True) for character, code in zip(shifted, codes, strict=True)}
    assert len(expected) == 95
    got = {c: (key["code"], key["shift"]) for c, key in keys.items() if key and c not in "\n\t"}
    assert got == expected
    assert all(key["keysym"] == ord(c) for c, key in keys.items() if key and c not in "\n\t")


def test_line_ends_and_tabs_are_keys(keys: dict[str, dict[str, Any] | None]) -> None:
    assert keys["\n"] == {"keysym": 0xFF0D, "code": "Enter", "shift": False}
    assert keys["\t"] == {"keysym": 0xFF09, "code": "Tab", "shift": False}


def test_what_a_us_keyboard_lacks_is_told_and_left_out() -> None:
    plan = node("console.log(JSON.stringify(typing.plan('a\\r\\nä中ä\\u001b')))")
    assert [key["code"] for key in plan["keys"]] == ["KeyA", "Enter"]
    assert plan["missing"] == ["ä", "中", "\x1b"]


def test_shift_is_held_around_the_key_only() -> None:
    script = """
    const sent = [];
    const send = (keysym, code, down) => sent.push([code, down]);
    await typing.type(typing.plan("aB").keys, send, { delay: 1, signal: new AbortController().signal, progress() {} });
    console.log(JSON.stringify(sent));
    """
    assert node(script) == [
        ["KeyA", True], ["KeyA", False],
        ["ShiftLeft", True], ["KeyB", True], ["KeyB", False], ["ShiftLeft", False],
    ]  # fmt: skip


def test_typing_stops_when_it_is_told_to() -> None:
    script = """
    const controller = new AbortController();
    const sent = [];
    const progress = (done) => { if (done === 3) controller.abort(); };
    const send = (keysym, code, down) => down && sent.push(code);
    const name = await typing.type(typing.plan("abcdefgh").keys, send, { delay: 1, signal: controller.signal, progress })
      .then(() => "", (error) => error.name);
    console.log(JSON.stringify([name, sent.length]));
    """
    assert node(script) == ["AbortError", 3]
