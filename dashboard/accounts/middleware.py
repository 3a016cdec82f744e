"""Closes every page to people who have not signed in, and speaks each person's language."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import translation


class SignInRequired:
    """Deny by default: only views marked `@public` are open to nobody in particular."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        language = getattr(request.user, "language", "")
        if language:
            translation.activate(language)
            request.LANGUAGE_CODE = translation.get_language()
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> HttpResponse | None:
        """Send a stranger to the sign-in page; answer a script with 401 in JSON."""
        if request.user.is_authenticated or getattr(view, "permission", None) == "public":
            return None
        if "application/json" in request.headers.get("Accept", "") or request.path.startswith("/api/"):
            said = str(translation.gettext("Sign in first."))
            problem = {"type": "about:blank", "title": "Unauthorized", "status": 401, "detail": said, "error": said}
            return JsonResponse(problem, status=401, content_type="application/problem+json")
        return redirect_to_login(request.get_full_path())
