"""Addresses of the guests room."""

from __future__ import annotations

from django.urls import path

from dashboard.guests import create_views, list_views, many_views, owner_views, rights_views, screen_views, views

app_name = "guests"
urlpatterns = [
    path("guests/", list_views.guest_list, name="list"),
    path("guests/words.json", list_views.words, name="words"),
    path("guests/taste/", list_views.taste, name="taste"),
    path("guests/shots.json", screen_views.shots, name="shots"),
    path("guests/searches/", list_views.search_list, name="searches"),
    path("guests/searches/new/", list_views.search_add, name="search_add"),
    path("guests/searches/<int:pk>/", list_views.search, name="search"),
    path("guests/searches/<int:pk>/edit/", list_views.search_edit, name="search_edit"),
    path("guests/searches/<int:pk>/delete/", list_views.search_delete, name="search_delete"),
    path("guests/tags.json", views.tags, name="tags"),
    path("guests/many/", many_views.offers, name="many"),
    path("guests/many/<str:name>/", many_views.question, name="many_question"),
    path("operations/many/<str:name>/", many_views.operate, name="many_operate"),
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
    path("guests/<uuid:uuid>/rights/", rights_views.rights, name="rights"),
    path("guests/<uuid:uuid>/owner/", owner_views.set_owner, name="owner"),
    path("guests/<uuid:uuid>/shot.webp", screen_views.shot, name="shot"),
    path("guests/<uuid:uuid>/menu/", views.menu, name="menu"),
    path("guests/<uuid:uuid>/dialogs/<slug:name>/", views.dialog, name="dialog"),
    path("guests/<uuid:uuid>/history.json", views.history, name="history"),
]
