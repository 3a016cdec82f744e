"""Addresses of one's own sign-in, sessions and tokens, and of an administrator's look at somebody's."""

from __future__ import annotations

from django.urls import path

from dashboard.accounts import security_views as views

urlpatterns = [
    path("security/", views.security, name="security"),
    path("security/sessions/<int:pk>/end/", views.end_session, name="end-session"),
    path("security/sessions/end-others/", views.end_other_sessions, name="end-other-sessions"),
    path("security/seen/", views.seen, name="seen"),
    path("security/tokens/", views.token_list, name="tokens"),
    path("security/tokens/<uuid:pk>/revoke/", views.token_revoke, name="token-revoke"),
    path("password/<str:token>/", views.set_password, name="set-password"),
    path("people/roles/<slug:slug>/second-factor/", views.role_second_factor, name="people-role-second-factor"),
    path("people/<int:pk>/security/", views.person_security, name="person-security"),
    path("people/<int:pk>/sessions/<int:sign_in>/end/", views.person_end_session, name="person-end-session"),
    path("people/<int:pk>/tokens/<uuid:token>/revoke/", views.person_revoke_token, name="person-revoke-token"),
    path("people/<int:pk>/second-factor/reset/", views.person_reset_factor, name="person-reset-factor"),
    path("people/<int:pk>/password-link/", views.person_password_link, name="person-password-link"),
]
