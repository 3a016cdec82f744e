"""Addresses of the audit log."""

from __future__ import annotations

from django.urls import path

from dashboard.jobs import audit_views

app_name = "audit"
urlpatterns = [
    path("audit/", audit_views.log, name="list"),
    path("audit/export.<slug:ending>", audit_views.export, name="export"),
]
