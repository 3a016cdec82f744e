"""The Content-Security-Policy of pages with a terminal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from csp.constants import SELF, UNSAFE_INLINE
from csp.decorators import csp_update

terminal_page: Callable[[Any], Any] = csp_update({"style-src-elem": [SELF, UNSAFE_INLINE]})
"""Decorator for views that show a serial line: xterm.js makes its own <style> elements and knows no nonce."""
