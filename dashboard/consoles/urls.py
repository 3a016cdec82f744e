"""Addresses of the consoles room."""

from __future__ import annotations

from django.urls import URLPattern

app_name = "consoles"
urlpatterns: list[URLPattern] = []
