"""allauth's addresses, narrowed to signing in and out and one's own password; its other pages answer 404.

kvmweb sends no mail and nobody signs up: pages that would (e-mail addresses, reset by mail, codes) would let a stranger
have this machine send mail to anybody, or answer with an error where there is no mail server. Their names stay, because
allauth itself reverses them.
"""

from __future__ import annotations

from typing import Any, NoReturn

from allauth.account import urls as allauth_urls
from django.http import Http404, HttpRequest
from django.urls import URLPattern, path
from django.views.generic import TemplateView

from dashboard.accounts.decorators import public, signed_in

OPEN = {"account_login", "account_logout", "account_inactive"}
OWN = {"account_change_password", "account_reauthenticate"}
HELP = "account_reset_password"


@signed_in
def closed(request: HttpRequest, **where: Any) -> NoReturn:
    """There is no such page here."""
    raise Http404


def _narrowed(pattern: URLPattern) -> URLPattern:
    if pattern.name in OPEN:
        public(pattern.callback)
    elif pattern.name in OWN:
        signed_in(pattern.callback)
    else:
        return URLPattern(pattern.pattern, closed, name=pattern.name)
    return pattern


urlpatterns = [
    # In place of allauth's form: says who can help. It takes no POST.
    path("password/reset/", public(TemplateView.as_view(template_name="account/password_reset.html")), name=HELP),
    *(_narrowed(pattern) for pattern in allauth_urls.urlpatterns if pattern.name != HELP),
]
