"""What is asked of every page and dialog: nothing for axe, no sideways scrolling, no text that was left untranslated."""

from __future__ import annotations

import gettext
import re
from pathlib import Path

from playwright.sync_api import Page

from tests.e2e.stack import ROOT

AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
NARROW = {"width": 390, "height": 844}
RUN = """async (tags) => {
  // A colour on its way from one state to the next is no state.
  for (let fading = [1], rounds = 0; fading.length && rounds < 20; rounds += 1) {
    await new Promise((go) => requestAnimationFrame(() => requestAnimationFrame(go)));
    fading = document.getAnimations().filter((animation) => animation instanceof CSSTransition);
    await Promise.allSettled(fading.map((animation) => animation.finished));
  }
  const { violations } = await axe.run(document, { runOnly: { type: "tag", values: tags }, resultTypes: ["violations"] });
  return violations.flatMap(({ id, help, nodes }) =>
    nodes.map((node) => `${id}: ${help}: ${node.html.slice(0, 200)} | ${node.any[0]?.message ?? node.failureSummary}`));
}"""
WORDS = """() => {
  const seen = [];
  const walker = document.createTreeWalker(document.documentElement, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent.trim();
    const box = walker.currentNode.parentElement;
    if (text && !box.closest("script, style, template, pre, code, .mono, [lang='en'], .xterm")) seen.push(text);
  }
  for (const name of ["aria-label", "title", "placeholder", "alt", "data-tip", "data-confirm-text", "data-label"]) {
    for (const element of document.querySelectorAll(`[${name}]`)) {
      const text = element.getAttribute(name).trim();
      if (text && !element.closest(".xterm")) seen.push(text);
    }
  }
  return [...new Set(seen)];
}"""
UNFILLED = re.compile(r"%\(\w+\)|\{\{|\{%|\bundefined\b|\bNaN\b|\[object|\bNone\b")
ENGLISH = re.compile(r"(?i)\b(the|is|are|this|that|with|its|it|of|and|not|you|yet|has|was)\b")


def against_wcag(page: Page) -> list[str]:
    """What axe-core finds against WCAG 2.2 level AA."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE.read_text(encoding="utf-8"))
    found: list[str] = page.evaluate(RUN, TAGS)
    return found


def too_wide(page: Page) -> list[str]:
    """What sticks out at the width of a telephone, if the page scrolls sideways there."""
    before = page.viewport_size
    page.set_viewport_size(NARROW)
    found: list[str] = page.evaluate(
        """async () => {
          const wide = () => document.documentElement.scrollWidth > innerWidth;
          const end = Date.now() + 1000;  // charts follow a change of width a moment later
          while (wide() && Date.now() < end) await new Promise(requestAnimationFrame);
          return !wide() ? [] : [...document.body.querySelectorAll("*")]
          .filter((element) => element.getBoundingClientRect().right > innerWidth + 1)
          .slice(0, 3).map((element) => `too wide: ${element.outerHTML.slice(0, 160)}`)
          .concat([`scrolls sideways: ${document.documentElement.scrollWidth} px`]); }"""
    )
    if before:
        page.set_viewport_size(before)
    return found


def unfilled(page: Page) -> list[str]:
    """Texts in which a place was not filled in."""
    return [f"unfilled: {text}" for text in page.evaluate(WORDS) if UNFILLED.search(text)]


def untranslated(page: Page, names: set[str]) -> list[str]:
    """English on a Chinese page: texts that have a translation, and whole sentences. `names` are not texts."""
    known = catalogue()
    texts = [text for text in page.evaluate(WORDS) if text not in names]
    return [
        f"English: {text}"
        for text in texts
        if known.get(text, text) != text or (ENGLISH.search(text) and not re.search(r"[\u4e00-\u9fff]", text))
    ]


def catalogue() -> dict[str, str]:
    """The Chinese of everything that has one."""
    found: dict[str, str] = {}
    for path in (ROOT / "dashboard" / "locale" / "zh_Hans" / "LC_MESSAGES").glob("*.mo"):
        found |= _entries(path)
    assert found, "no translations are compiled"
    return found


def _entries(path: Path) -> dict[str, str]:
    with path.open("rb") as file:
        entries = gettext.GNUTranslations(file)._catalog  # type: ignore[attr-defined]
    return {key.rpartition("\x04")[2]: text for key, text in entries.items() if isinstance(key, str)}
