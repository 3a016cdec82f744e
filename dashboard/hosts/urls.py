"""Addresses of the hosts room."""

from __future__ import annotations

from django.urls import path

from dashboard.hosts import views

app_name = "hosts"
urlpatterns = [
    path("hosts/", views.host_list, name="list"),
    path("hosts/new/", views.host_add, name="add"),
    path("hosts/<int:pk>/", views.host_detail, name="detail"),
    path("hosts/<int:pk>/rights/", views.host_rights, name="rights"),
    path("hosts/<int:pk>/approve-key/", views.host_approve_key, name="approve-key"),
    path("hosts/<int:pk>/remove/", views.host_remove, name="remove"),
]
