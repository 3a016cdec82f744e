"""Addresses of the jobs room."""

from __future__ import annotations

from django.urls import path

from dashboard.jobs import views

app_name = "jobs"
urlpatterns = [
    path("operations/<str:name>/", views.operate, name="operate"),
    path("jobs/", views.job_list, name="list"),
    path("jobs/recent.json", views.recent, name="recent"),
    path("jobs/<uuid:pk>/", views.detail, name="detail"),
    path("jobs/<uuid:pk>/cancel/", views.cancel, name="cancel"),
    path("jobs/<uuid:pk>/retry/", views.retry, name="retry"),
]
