"""Addresses of the accounts room."""

from __future__ import annotations

from django.urls import include, path

from dashboard.accounts import security_views, views

app_name = "accounts"
urlpatterns = [
    path("setup/<str:token>/", views.setup, name="setup"),
    path("people/", views.people_list, name="people"),
    path("people/new/", views.person_add, name="person-add"),
    path("people/<int:pk>/", views.person, name="person"),
    path("people/<int:pk>/end-sessions/", views.person_end_sessions, name="person-end-sessions"),
    path("", include("dashboard.accounts.grant_urls")),
    path("preferences/", views.preferences, name="preferences"),
    path("security/", security_views.security, name="security"),
    path("security/sessions/<int:pk>/end/", security_views.end_session, name="end-session"),
    path("security/sessions/end-others/", security_views.end_other_sessions, name="end-other-sessions"),
    path("security/seen/", security_views.seen, name="seen"),
    path("security/tokens/", security_views.token_list, name="tokens"),
    path("security/tokens/<uuid:pk>/revoke/", security_views.token_revoke, name="token-revoke"),
    path("password/<str:token>/", security_views.set_password, name="set-password"),
    path("people/<int:pk>/security/", security_views.person_security, name="person-security"),
    path("people/<int:pk>/sessions/<int:sign_in>/end/", security_views.person_end_session, name="person-end-session"),
    path("people/<int:pk>/tokens/<uuid:token>/revoke/", security_views.person_revoke_token, name="person-revoke-token"),
    path("people/<int:pk>/second-factor/reset/", security_views.person_reset_factor, name="person-reset-factor"),
    path("people/<int:pk>/password-link/", security_views.person_password_link, name="person-password-link"),
]
