"""Addresses of the networks room."""

from __future__ import annotations

from django.urls import path

from dashboard.networks import views

app_name = "networks"
urlpatterns = [path("networks/", views.network_list, name="list")]
