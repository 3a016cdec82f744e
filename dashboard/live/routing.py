"""Addresses of WebSockets of the web process."""

from __future__ import annotations

from typing import Any

from django.urls import path

from dashboard.live.consumer import live

websocket_urlpatterns: list[Any] = [path("live/", live)]  # type: ignore[arg-type]  # an ASGI application, not a view
