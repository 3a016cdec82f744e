"""Keys by the names that virsh knows, and the combinations that a browser cannot pass on by itself."""

from __future__ import annotations

from dataclasses import dataclass

KEYS: dict[str, int] = {
    "KEY_ESC": 1,
    "KEY_BACKSPACE": 14,
    "KEY_TAB": 15,
    "KEY_ENTER": 28,
    "KEY_LEFTCTRL": 29,
    "KEY_LEFTSHIFT": 42,
    "KEY_LEFTALT": 56,
    "KEY_SPACE": 57,
    **{f"KEY_F{number}": 58 + number for number in range(1, 11)},
    "KEY_F11": 87,
    "KEY_F12": 88,
    "KEY_SYSRQ": 99,
    "KEY_UP": 103,
    "KEY_LEFT": 105,
    "KEY_RIGHT": 106,
    "KEY_DOWN": 108,
    "KEY_DELETE": 111,
    "KEY_LEFTMETA": 125,
    "KEY_B": 48,
    "KEY_E": 18,
    "KEY_F": 33,
    "KEY_I": 23,
    "KEY_L": 38,
    "KEY_R": 19,
    "KEY_S": 31,
    "KEY_U": 22,
}
"""Linux input event codes, the code set in which they are sent (VIR_KEYCODE_SET_LINUX)."""


@dataclass(frozen=True)
class Combination:
    """One entry of the keys menu: what is printed on the caps, and the keys pressed together."""

    label: str
    keys: tuple[str, ...]


_CTRL_ALT = ("KEY_LEFTCTRL", "KEY_LEFTALT")

COMBINATIONS: list[list[Combination]] = [
    [
        Combination("Ctrl+Alt+Del", (*_CTRL_ALT, "KEY_DELETE")),
        Combination("Ctrl+Alt+Backspace", (*_CTRL_ALT, "KEY_BACKSPACE")),
        Combination("Ctrl+Shift+Esc", ("KEY_LEFTCTRL", "KEY_LEFTSHIFT", "KEY_ESC")),
        Combination("Alt+Tab", ("KEY_LEFTALT", "KEY_TAB")),
        Combination("Alt+F4", ("KEY_LEFTALT", "KEY_F4")),
        Combination("Super", ("KEY_LEFTMETA",)),
        Combination("Super+L", ("KEY_LEFTMETA", "KEY_L")),
        Combination("Super+R", ("KEY_LEFTMETA", "KEY_R")),
        Combination("Esc", ("KEY_ESC",)),
        Combination("PrintScreen", ("KEY_SYSRQ",)),
    ],
    [Combination(f"Ctrl+Alt+F{number}", (*_CTRL_ALT, f"KEY_F{number}")) for number in range(1, 13)],
    [
        Combination(f"Alt+SysRq+{letter}", ("KEY_LEFTALT", "KEY_SYSRQ", f"KEY_{letter}"))
        for letter in ("R", "E", "I", "S", "U", "B", "F")
    ],
]
"""The menu, in groups. Labels are the caps of a keyboard, the same in every language."""
