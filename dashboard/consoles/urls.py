"""Addresses of the consoles room."""

from __future__ import annotations

from django.urls import path

from dashboard.consoles import views

app_name = "consoles"
urlpatterns = [
    path("consoles/ticket/", views.ticket, name="ticket"),
    path("consoles/<uuid:uuid>/screen/", views.screen, name="screen"),
    path("consoles/<uuid:uuid>/serial/", views.serial, name="serial"),
]
