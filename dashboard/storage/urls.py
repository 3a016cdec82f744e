"""Addresses of the storage room."""

from __future__ import annotations

from django.urls import URLPattern

app_name = "storage"
urlpatterns: list[URLPattern] = []
