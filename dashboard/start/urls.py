"""Addresses of the start room."""

from __future__ import annotations

from django.urls import path

from dashboard.start import views

app_name = "start"
urlpatterns = [
    path("", views.start, name="page"),
    path("search.json", views.find, name="find"),
]
