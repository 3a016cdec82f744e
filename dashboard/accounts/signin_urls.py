"""allauth's addresses, narrowed to signing in and out, one's own password and second factor; its other pages answer 404.

kvmweb sends no mail and nobody signs up: pages that would (e-mail addresses, reset by mail, codes) would let a stranger
have this machine send mail to anybody, or answer with an error where there is no mail server. Their names stay, because
allauth itself reverses them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NoReturn

from allauth.account import urls as account_urls
from allauth.mfa import urls as mfa_urls
from django.http import Http404, HttpRequest
from django.urls import URLPattern, URLResolver, path
from django.views.decorators.cache import never_cache
from django.views.generic import RedirectView, TemplateView

from dashboard.accounts import second_factor_views as own
from dashboard.accounts.decorators import public, sets_up_second_factor, signed_in
from dashboard.accounts.recent import recently_signed_in

OPEN = {"account_login", "account_logout", "account_inactive", "mfa_authenticate"}
CONFIRMS = {"account_reauthenticate", "mfa_reauthenticate", "mfa_reauthenticate_webauthn"}
"""They ask again who it is; the pages below are there for who answered lately."""
OWN = {
    "account_change_password",
    "mfa_activate_totp",
    "mfa_deactivate_totp",
    "mfa_generate_recovery_codes",
    "mfa_add_webauthn",
    "mfa_edit_webauthn",
    "mfa_remove_webauthn",
}
NEEDS_ALL = {"account_change_password"}
"""Of them those that do not help to set up a second factor."""

_security = sets_up_second_factor(signed_in(RedirectView.as_view(pattern_name="accounts:security")))
_help = public(TemplateView.as_view(template_name="account/password_reset.html"))  # says who can help; takes no POST
INSTEAD = {
    "account_reset_password": _help,
    "mfa_index": _security,
    "mfa_list_webauthn": _security,
    "mfa_login_webauthn": own.passkey_sign_in,
    "mfa_view_recovery_codes": own.recovery_codes,
}
"""Our own views in place of allauth's."""


@signed_in
def closed(request: HttpRequest, **where: Any) -> NoReturn:
    """There is no such page here."""
    raise Http404


def _flat(patterns: list[URLPattern | URLResolver], prefix: str = "") -> Iterator[tuple[str, URLPattern]]:
    for item in patterns:
        if isinstance(item, URLResolver):
            yield from _flat(item.url_patterns, prefix + str(item.pattern))
        else:
            yield prefix, item


def _view(name: str, view: Any) -> Any:
    if name in INSTEAD:
        return INSTEAD[name]
    if name in OPEN:
        return public(never_cache(view))
    if name in CONFIRMS:
        return sets_up_second_factor(signed_in(never_cache(view)))
    if name in OWN:
        mine = signed_in(never_cache(recently_signed_in(view)))
        return mine if name in NEEDS_ALL else sets_up_second_factor(mine)
    return closed


def _narrowed(prefix: str, pattern: URLPattern) -> URLPattern:
    view = _view(pattern.name or "", pattern.callback)
    if prefix:
        moved: URLPattern = path(prefix + str(pattern.pattern), view, name=pattern.name)
        return moved
    return URLPattern(pattern.pattern, view, pattern.default_args, pattern.name)


urlpatterns = [
    *(_narrowed(prefix, pattern) for prefix, pattern in _flat(account_urls.urlpatterns)),
    *(_narrowed(f"2fa/{prefix}", pattern) for prefix, pattern in _flat(mfa_urls.urlpatterns)),
]
