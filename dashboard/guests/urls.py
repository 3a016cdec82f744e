"""Addresses of the guests room."""

from __future__ import annotations

from django.urls import URLPattern

app_name = "guests"
urlpatterns: list[URLPattern] = []
