"""Tags of the page's head: style sheets, the import map (with nonce and hashed names) and module scripts."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from django import template
from django.conf import settings
from django.contrib.staticfiles import finders
from django.contrib.staticfiles.storage import HashedFilesMixin, staticfiles_storage
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

register = template.Library()

STYLES = ("layers", "tokens", "base", "layout", "components", "forms", "drawer", "find", "freshness")
BOOTSTRAP = "vendor/bootstrap/bootstrap.min.css"
PRELOADED = ("i18n", "dom", "format", "net", "live", "rows", "operations", "drawer", "dialog", "toast", "menu")
VENDORED = {
    "novnc": "vendor/novnc/core/rfb.js",
    "xterm": "vendor/xterm/xterm.mjs",
    "xterm-fit": "vendor/xterm/addon-fit.mjs",
    "uplot": "vendor/uplot/uPlot.esm.js",
}


def _static_root() -> Path:
    return Path(settings.BASE_DIR) / "static"


def _files_below(folder: str) -> list[str]:
    root = _static_root()
    return sorted(str(path.relative_to(root)) for path in (root / folder).rglob("*.js"))


def build_map(extra: tuple[str, ...] = ()) -> dict[str, str]:
    """Bare names of our modules and of the vendored libraries → addresses.

    With hashed names each module's plain address is mapped too, so that relative imports reach the hashed file.
    `extra` names vendored libraries whose own files import each other (noVNC).
    """
    hashed = isinstance(staticfiles_storage, HashedFilesMixin)
    imports: dict[str, str] = {}
    for name in _files_below("js"):
        bare = "kvmweb/" + name.removeprefix("js/").removesuffix(".js")
        imports[bare] = staticfiles_storage.url(name)
        if hashed:
            imports[settings.STATIC_URL + name] = staticfiles_storage.url(name)
    for bare, name in VENDORED.items():
        if finders.find(name):
            imports[bare] = staticfiles_storage.url(name)
    if hashed:
        for library in extra:
            for name in _files_below(f"vendor/{library}"):
                imports[settings.STATIC_URL + name] = staticfiles_storage.url(name)
    return imports


@lru_cache
def _cached_map(extra: tuple[str, ...]) -> str:
    return _map_json(extra)


def _map_json(extra: tuple[str, ...]) -> str:
    return json.dumps({"imports": build_map(extra)}, separators=(",", ":")).replace("<", "\\u003c")


def _hashed() -> bool:
    return isinstance(staticfiles_storage, HashedFilesMixin)


@register.simple_tag(takes_context=True)
def import_map(context: dict[str, Any], *libraries: str) -> SafeString:
    """The one import map of the page, before any module. `{% import_map "novnc" %}` on pages with a screen."""
    text = _cached_map(libraries) if _hashed() else _map_json(libraries)
    nonce = context.get("CSP_NONCE") or getattr(context.get("request"), "csp_nonce", "")
    return format_html('<script type="importmap" nonce="{}">{}</script>', nonce, mark_safe(text))  # noqa: S308  # our own JSON


@register.simple_tag
def stylesheets() -> SafeString:
    """Links to the style sheets of every page, in the order of their layers."""
    preload = format_html('<link rel="preload" as="style" href="{}">\n  ', staticfiles_storage.url(BOOTSTRAP))
    links = ((staticfiles_storage.url(f"css/{name}.css"),) for name in STYLES)
    return preload + format_html_join("\n  ", '<link rel="stylesheet" href="{}">', links)


@register.simple_tag
def module(name: str) -> SafeString:
    """A module of ours as a script; `main` also preloads what it imports."""
    script = format_html('<script type="module" src="{}"></script>', staticfiles_storage.url(f"js/{name}.js"))
    if name != "main":
        return script
    names = ((staticfiles_storage.url(f"js/{other}.js"),) for other in PRELOADED)
    return format_html_join("", '<link rel="modulepreload" href="{}">', names) + script
