"""Text made readable: notes from Markdown to clean HTML, XML to coloured words. Nothing that a person or host wrote is trusted."""

from __future__ import annotations

import re
from collections.abc import Iterator

import nh3
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt

TAGS = {
    "a", "blockquote", "br", "code", "del", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre", "s",
    "strong", "table", "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip
_MARKDOWN = MarkdownIt("commonmark", {"html": False, "linkify": False, "breaks": True}).enable(
    ["table", "strikethrough"]
)

_XML = re.compile(
    r"(?P<comment><!--.*?-->)|(?P<tag></?[^\s<>/=\"']+|/?>|\?>)|(?P<attribute>[^\s<>/=\"']+)(?==)"
    r"|(?P<value>\"[^\"<]*\"|'[^'<]*')|(?P<other>\s+|=|[^<>\s\"'=]+|.)",
    re.DOTALL,
)


def markdown(text: str) -> SafeString:
    """Markdown as HTML of a short list of elements; links only to web, mail and pages of ours, no pictures, no HTML."""
    rendered = _MARKDOWN.render(text)
    clean = nh3.clean(
        rendered,
        tags=TAGS,
        attributes={"a": {"href"}},
        url_schemes={"http", "https", "mailto"},
        link_rel="noopener noreferrer nofollow",
    )
    return mark_safe(clean)  # noqa: S308 - nh3 has just cleaned it


def coloured_xml(text: str) -> list[tuple[str, str]]:
    """XML as words with their kind ("tag", "attribute", "value", "comment", "text"); the template escapes each."""
    words: list[tuple[str, str]] = []
    for kind, word in _words(text):
        if words and words[-1][0] == kind:
            words[-1] = (kind, words[-1][1] + word)
        else:
            words.append((kind, word))
    return words


def _words(text: str) -> Iterator[tuple[str, str]]:
    inside = False
    for match in _XML.finditer(text):
        kind, word = match.lastgroup or "other", match.group()
        if kind == "comment":
            yield "comment", word
        elif kind == "tag" and word.startswith("<"):
            inside = True
            yield "tag", word
        elif inside and kind in ("tag", "attribute", "value"):
            inside = word[-1] != ">"
            yield kind, word
        else:
            yield ("tag" if inside and word == "=" else "text"), word
