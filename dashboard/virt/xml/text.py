"""Which names, titles, descriptions and tags kvmweb gives: what passes here comes back from libvirt byte for byte."""

from __future__ import annotations

import re
import unicodedata

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_TAG = re.compile(r"[\w][\w.:-]{0,49}")
_LOST = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
"""What XML 1.0 cannot hold or libvirt's writer drops: controls but tab and line feed, halves of pairs, non-characters."""
MAX_TITLE = 255
MAX_DESCRIPTION = 64 * 1024
MAX_TAGS = 32


def valid_name(name: str) -> str:
    """A name for a guest, pool, volume or network that kvmweb makes. Raises ValueError with a plain sentence.

    Only for what we create: names that we find may be anything, and are handled by UUID.
    """
    if not _NAME.fullmatch(name) or name.endswith("."):
        raise ValueError(
            "A name has 1 to 63 letters, digits, dots, dashes or underscores, and begins with a letter or digit."
        )
    return name


def valid_title(title: str) -> str:
    """A title: one line, up to 255 characters; "" for none. Raises ValueError with a plain sentence."""
    if len(title) > MAX_TITLE:
        raise ValueError("A title has at most 255 characters.")
    if "\n" in title:
        raise ValueError("A title is one line.")
    return _kept(title)


def valid_description(text: str) -> str:
    """A description with line ends as libvirt keeps them (LF); up to 64 KiB. Raises ValueError with a plain sentence."""
    text = text.replace("\r\n", "\n")
    if len(text.encode(errors="replace")) > MAX_DESCRIPTION:
        raise ValueError("A description has at most 64 KiB.")
    return _kept(text)


def valid_tags(tags: list[str] | tuple[str, ...]) -> tuple[str, ...]:
    """Tags, each once and in order. Raises ValueError with a plain sentence."""
    found = tuple(dict.fromkeys(unicodedata.normalize("NFC", tag.strip()) for tag in tags if tag.strip()))
    if len(found) > MAX_TAGS:
        raise ValueError("A guest has at most 32 tags.")
    for tag in found:
        if not _TAG.fullmatch(tag):
            raise ValueError("A tag has 1 to 50 letters, digits, dots, dashes, colons or underscores, without spaces.")
    return found


def _kept(text: str) -> str:
    if _LOST.search(text):
        raise ValueError("The text holds control characters.")
    return text
