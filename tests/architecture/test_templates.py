"""Templates and browser code keep the policy of the page: nothing inline, nothing evaluated, nothing of others as HTML."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))
SCRIPTS = sorted((ROOT / "static" / "js").rglob("*.js"))
STYLES = sorted((ROOT / "static" / "css").rglob("*.css"))


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def without_comments(text: str) -> str:
    return re.sub(r"{#.*?#}|{% comment %}.*?{% endcomment %}", "", text, flags=re.S)


@pytest.mark.parametrize("path", TEMPLATES, ids=name)
def test_a_template_has_nothing_inline(path: Path) -> None:
    text = re.sub(r"{%.*?%}", "", without_comments(path.read_text(encoding="utf-8")), flags=re.S)
    assert not re.search(r"<style\b", text), "a <style> element: use static/css"
    assert not re.search(r"\sstyle\s*=", text), "a style attribute: use a class"
    assert not re.search(r"\son[a-z]+\s*=\s*[\"']", text), "an event handler: use data-module"
    assert not re.search(r"hx-on|[\"']js:|javascript:", text), "evaluated text"
    for tag, body in re.findall(r"<script\b([^>]*)>(.*?)</script>", text, flags=re.S):
        assert "src=" in tag or 'type="application/json"' in tag, f"an inline script: {body[:60]}"


@pytest.mark.parametrize("path", TEMPLATES, ids=name)
def test_a_template_trusts_no_text(path: Path) -> None:
    text = without_comments(path.read_text(encoding="utf-8"))
    assert not re.search(r"\|\s*safe\b|{%\s*autoescape off", text), "text marked as safe: sanitise it in Python"


@pytest.mark.parametrize("path", TEMPLATES, ids=name)
def test_links_to_elsewhere_tell_nobody_where_they_come_from(path: Path) -> None:
    for tag in re.findall(r"<a\b[^>]*target=\"_blank\"[^>]*>", path.read_text(encoding="utf-8")):
        assert "noopener" in tag, tag


@pytest.mark.parametrize("path", SCRIPTS, ids=name)
def test_a_script_never_makes_html_from_text(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"\.(inner|outer)HTML\b|insertAdjacentHTML|document\.write", text)
    assert not re.search(r"\beval\(|new Function\(", text)
    assert text.lstrip().startswith(("//", "/*")), "the first line says what the module owns"
    assert text.count("\n") <= 400


@pytest.mark.parametrize("path", STYLES, ids=name)
def test_a_style_sheet_stands_in_a_layer_and_loads_nothing_from_elsewhere(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"url\([\"']?(?:https?:)?//", text)
    assert path.stem == "tokens" or "@layer" in text


def test_the_catalogues_of_both_kinds_exist_for_each_language() -> None:
    folder = ROOT / "dashboard" / "locale" / "zh_Hans" / "LC_MESSAGES"
    for domain in ("django", "djangojs"):
        assert (folder / f"{domain}.po").is_file()
