"""Addresses of the hosts room."""

from __future__ import annotations

from django.urls import URLPattern

app_name = "hosts"
urlpatterns: list[URLPattern] = []
