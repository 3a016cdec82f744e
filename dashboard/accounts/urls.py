"""Addresses of the accounts room."""

from __future__ import annotations

from django.urls import include, path

from dashboard.accounts import quota_views, views

app_name = "accounts"
urlpatterns = [
    path("setup/<str:token>/", views.setup, name="setup"),
    path("people/", views.people_list, name="people"),
    path("people/new/", views.person_add, name="person-add"),
    path("people/<int:pk>/", views.person, name="person"),
    path("people/<int:pk>/end-sessions/", views.person_end_sessions, name="person-end-sessions"),
    path("", include("dashboard.accounts.grant_urls")),
    path("people/<int:pk>/quota/", quota_views.quota_person, name="quota-person"),
    path("people/groups/<int:pk>/quota/", quota_views.quota_group, name="quota-group"),
    path("preferences/", views.preferences, name="preferences"),
    path("", include("dashboard.accounts.security_urls")),
]
