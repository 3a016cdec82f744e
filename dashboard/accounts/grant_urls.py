"""Addresses of the pages of rights."""

from __future__ import annotations

from django.urls import path

from dashboard.accounts import grant_views as views

urlpatterns = [
    path("people/<int:pk>/grants/", views.person_grant, name="person-grant"),
    path("people/<int:pk>/groups/", views.person_join, name="person-join"),
    path("people/grants/<int:pk>/remove/", views.grant_remove, name="people-grant-remove"),
    path("people/places/<slug:kind>.json", views.find_places, name="people-places"),
    path("people/groups/", views.group_list, name="people-groups"),
    path("people/groups/<int:pk>/", views.group_detail, name="people-group"),
    path("people/groups/<int:pk>/grants/", views.group_grant, name="people-group-grant"),
    path("people/groups/<int:pk>/members/", views.group_join, name="people-group-join"),
    path("people/groups/<int:pk>/members/<int:person>/remove/", views.group_leave, name="people-group-leave"),
    path("people/groups/<int:pk>/delete/", views.group_remove, name="people-group-remove"),
    path("people/roles/", views.role_list, name="people-roles"),
    path("people/roles/new/", views.role_add, name="people-role-add"),
    path("people/roles/<slug:slug>/", views.role_detail, name="people-role"),
    path("people/roles/<slug:slug>/delete/", views.role_remove, name="people-role-remove"),
]
