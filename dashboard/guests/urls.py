"""Addresses of the guests room."""

from __future__ import annotations

from django.urls import path

from dashboard.guests import create_views, views

app_name = "guests"
urlpatterns = [
    path("", views.guest_list, name="list"),
    path("guests/", views.guest_list, name="list_too"),
    path("guests/tags.json", views.tags, name="tags"),
    path("guests/new/", create_views.create, name="create"),
    path("guests/new/check/", create_views.check, name="check"),
    path("guests/new/choices.json", create_views.choices, name="choices"),
    path("guests/<uuid:uuid>/", views.overview, name="detail"),
    path("guests/<uuid:uuid>/overview/", views.overview, name="overview"),
    path("guests/<uuid:uuid>/performance/", views.performance, name="performance"),
    path("guests/<uuid:uuid>/console/", views.console, name="console"),
    path("guests/<uuid:uuid>/serial/", views.serial, name="serial"),
    path("guests/<uuid:uuid>/xml/", views.xml, name="xml"),
    path("guests/<uuid:uuid>/jobs/", views.jobs, name="jobs"),
    path("guests/<uuid:uuid>/notes/", views.notes, name="notes"),
    path("guests/<uuid:uuid>/menu/", views.menu, name="menu"),
    path("guests/<uuid:uuid>/dialogs/<slug:name>/", views.dialog, name="dialog"),
    path("guests/<uuid:uuid>/history.json", views.history, name="history"),
]
