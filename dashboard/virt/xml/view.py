"""The declarative table: properties that read and write one place of an element, and leave the rest as it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, overload

from lxml import etree

_BYTES: dict[str, int] = {"b": 1, "bytes": 1, "byte": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "PB": 10**15, "EB": 10**18} | {
    unit: 1024**power
    for power, letter in enumerate("KMGTPE", 1)
    for unit in (letter, letter.lower(), f"{letter}iB")
}  # fmt: skip


class View:
    """A typed window on one element: whoever writes through it changes that element and nothing beside it."""

    def __init__(self, element: etree._Element) -> None:
        self.element = element

    def __eq__(self, other: object) -> bool:
        return isinstance(other, View) and other.element is self.element

    def __hash__(self) -> int:
        return hash(self.element)


V = TypeVar("V", bound=View)


class Text:
    """The text at a path: "title", "os/type", "vcpu@current", "@type". None: not there; writing None takes it away."""

    def __init__(self, path: str) -> None:
        steps, _, self.attribute = path.partition("@")
        self.steps = tuple(step for step in steps.split("/") if step)

    @overload
    def __get__(self, view: None, owner: type[View]) -> Text: ...
    @overload
    def __get__(self, view: View, owner: type[View]) -> str: ...
    def __get__(self, view: View | None, owner: type[View]) -> Text | str:
        return self if view is None else read(view.element, self.steps, self.attribute) or ""

    def __set__(self, view: View, value: str | None) -> None:
        write(view.element, self.steps, self.attribute, value or None)


class Number:
    """A whole number at a path; 0 where none is written."""

    def __init__(self, path: str) -> None:
        self.text = Text(path)

    @overload
    def __get__(self, view: None, owner: type[View]) -> Number: ...
    @overload
    def __get__(self, view: View, owner: type[View]) -> int: ...
    def __get__(self, view: View | None, owner: type[View]) -> Number | int:
        if view is None:
            return self
        value = read(view.element, self.text.steps, self.text.attribute) or ""
        return int(value) if value.strip().lstrip("-").isdecimal() else 0

    def __set__(self, view: View, value: int | None) -> None:
        write(view.element, self.text.steps, self.text.attribute, None if value is None else str(value))


class Size:
    """A size with its unit attribute, read and written in KiB (libvirt's own unit for memory) or in bytes."""

    def __init__(self, path: str, *, unit: str = "KiB") -> None:
        self.steps = tuple(path.split("/"))
        self.unit = unit

    @overload
    def __get__(self, view: None, owner: type[View]) -> Size: ...
    @overload
    def __get__(self, view: View, owner: type[View]) -> int: ...
    def __get__(self, view: View | None, owner: type[View]) -> Size | int:
        if view is None:
            return self
        value = (read(view.element, self.steps, "") or "").strip()
        if not value.isdecimal():
            return 0
        written = read(view.element, self.steps, "unit") or self.unit
        size: int = int(value) * _BYTES.get(written, 1) // _BYTES[self.unit]
        return size

    def __set__(self, view: View, value: int | None) -> None:
        write(view.element, self.steps, "", None if value is None else str(value))
        if value is not None:
            write(view.element, self.steps, "unit", self.unit)


class There:
    """Whether an element stands at a path: True adds it empty, False takes it away."""

    def __init__(self, path: str) -> None:
        self.steps = tuple(path.split("/"))

    @overload
    def __get__(self, view: None, owner: type[View]) -> There: ...
    @overload
    def __get__(self, view: View, owner: type[View]) -> bool: ...
    def __get__(self, view: View | None, owner: type[View]) -> There | bool:
        return self if view is None else find(view.element, self.steps) is not None

    def __set__(self, view: View, value: bool) -> None:
        if value:
            reach(view.element, self.steps)
        else:
            write(view.element, self.steps, "", None)


def children(element: etree._Element, path: str, kind: Callable[[etree._Element], V]) -> list[V]:
    """A view on each element at a path, in the document's order."""
    return [kind(found) for found in element.iterfind(path)]


def find(element: etree._Element, steps: tuple[str, ...]) -> etree._Element | None:
    """The first element at a path."""
    here: etree._Element | None = element
    for step in steps:
        if here is None:
            return None
        here = here.find(step)
    return here


def reach(element: etree._Element, steps: tuple[str, ...]) -> etree._Element:
    """The first element at a path, made where it lacks."""
    for step in steps:
        found = element.find(step)
        element = add(element, step) if found is None else found
    return element


def read(element: etree._Element, steps: tuple[str, ...], attribute: str) -> str | None:
    """The text or an attribute at a path; None where it is not."""
    found = find(element, steps)
    if found is None:
        return None
    value = found.get(attribute) if attribute else found.text
    return value if value is None or isinstance(value, str) else value.decode()


def write(element: etree._Element, steps: tuple[str, ...], attribute: str, value: str | None) -> None:
    """Set the text or an attribute at a path, or take it away and with it the parents which that leaves empty."""
    if value is not None:
        found = reach(element, steps)
        if attribute:
            found.set(attribute, value)
        else:
            found.text = value
        return
    gone = find(element, steps)
    if gone is None:
        return
    if attribute:
        if attribute not in gone.attrib:
            return
        del gone.attrib[attribute]
    elif gone is not element:
        gone = remove(gone)
    while gone is not None and gone is not element and _bare(gone):
        gone = remove(gone)


def add(parent: etree._Element, tag: str, text: str | None = None, **attributes: str) -> etree._Element:
    """A new last child, indented like its siblings."""
    last = parent[-1] if len(parent) else None
    child = etree.SubElement(parent, tag, None, None, **attributes)
    child.text = text
    if last is not None:
        child.tail, last.tail = last.tail, parent.text
    return child


def remove(element: etree._Element) -> etree._Element | None:
    """Take an element out, keeping text that stood after it; gives its parent."""
    parent = element.getparent()
    if parent is None:
        return None
    before = element.getprevious()
    tail = element.tail
    parent.remove(element)
    if before is not None:
        blank = not (before.tail or "").strip()
        before.tail = tail if blank else (before.tail or "") + ((tail or "") if (tail or "").strip() else "")
    elif tail and tail.strip():
        parent.text = (parent.text or "") + tail
    return parent


def _bare(element: etree._Element) -> bool:
    return not len(element) and not element.attrib and not (element.text or "").strip()
