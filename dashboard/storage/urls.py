"""Addresses of the storage room."""

from __future__ import annotations

from django.urls import path

from dashboard.storage import views

app_name = "storage"
urlpatterns = [
    path("storage/", views.pool_list, name="list"),
    path("storage/<int:pk>/", views.pool_detail, name="pool"),
]
