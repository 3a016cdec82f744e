"""Closes every page to people who have not signed in as they must, and speaks each person's language."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib.auth import logout
from django.contrib.auth.models import AnonymousUser
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.utils import translation

from dashboard.accounts import sessions
from dashboard.accounts.access import second_factor_demanded
from dashboard.accounts.models import User


class SignInRequired:
    """Deny by default: only views marked `@public` are open to nobody in particular."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        by_token = "_token" in request.user.__dict__
        if request.user.is_authenticated and not by_token and not sessions.seen(request):
            logout(request)
        language = getattr(request.user, "language", "")
        if language:
            translation.activate(language)
            request.LANGUAGE_CODE = translation.get_language()
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> HttpResponse | None:
        """Send a stranger to the sign-in page, and who lacks the second factor that they must have to where it is set up."""
        if getattr(view, "permission", None) == "public":
            return None
        if not request.user.is_authenticated:
            if _is_script(request):
                return _problem(401, "Unauthorized", translation.gettext("Sign in first."))
            return redirect_to_login(request.get_full_path())
        if getattr(view, "sets_up_second_factor", False) or not _lacks_factor(request.user):
            return None
        if _is_script(request):
            return _problem(
                403, "Forbidden", translation.gettext("Your role demands a second factor: set one up first.")
            )
        return redirect("accounts:security")


def _lacks_factor(user: User | AnonymousUser) -> bool:
    """`second_factor.missing`, from what is read for every page anyway."""
    return isinstance(user, User) and not user.second_factor and second_factor_demanded(user)


def _is_script(request: HttpRequest) -> bool:
    return "application/json" in request.headers.get("Accept", "") or request.path.startswith("/api/")


def _problem(status: int, title: str, said: str) -> JsonResponse:
    problem = {"type": "about:blank", "title": title, "status": status, "detail": said, "error": said}
    return JsonResponse(problem, status=status, content_type="application/problem+json")
