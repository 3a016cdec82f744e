"""The address of the health page."""

from __future__ import annotations

from django.urls import path

from dashboard.upkeep import views

app_name = "upkeep"
urlpatterns = [path("healthz", views.healthz, name="healthz")]
