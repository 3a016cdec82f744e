"""Pages of signing in safely: one's second factor, sessions and tokens; an administrator's look at somebody's."""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID

from allauth.mfa.models import Authenticator
from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_POST

from dashboard.accounts import password_links, second_factor, sessions, tokens
from dashboard.accounts.adapter import client_ip
from dashboard.accounts.decorators import need, public, sets_up_second_factor, signed_in
from dashboard.accounts.giving import Refusal
from dashboard.accounts.models import ApiToken, SignIn, User
from dashboard.accounts.places import names_of
from dashboard.accounts.recent import recently_signed_in
from dashboard.accounts.security_forms import SetPasswordForm, TokenForm


def _me(request: HttpRequest) -> User:
    return cast("User", request.user)


def _factors(person: User) -> dict[str, Any]:
    """What a person's second factor is made of."""
    kept = {one.type: one for one in Authenticator.objects.filter(user=person)}
    codes = kept.get(Authenticator.Type.RECOVERY_CODES)
    return {
        "app": kept.get(Authenticator.Type.TOTP),
        "passkeys": second_factor.passkeys_of(person),
        "codes": codes,
        "codes_left": second_factor.codes_left(codes) if codes else 0,
        "required": second_factor.required_for(person),
    }


def _tokens(person: User) -> list[dict[str, Any]]:
    mine = list(ApiToken.objects.filter(user=person, revoked_at__isnull=True).select_related("user"))
    names = names_of(mine)
    return [{"token": one, "place": names[one.place, one.key], "works": tokens.holds(one)} for one in mine]


@sets_up_second_factor
@signed_in
@never_cache
def security(request: HttpRequest) -> HttpResponse:
    """One's own password, second factor and sessions."""
    me = _me(request)
    context = _factors(me) | {
        "signed_in": sessions.listed(me, request.session.session_key or ""),
        "passkeys_work": second_factor.passkeys_work_here(),
    }
    return render(request, "accounts/security.html", context)


@sets_up_second_factor
@signed_in
@require_POST
def end_session(request: HttpRequest, pk: int) -> HttpResponse:
    """End one of one's own sessions."""
    one = get_object_or_404(SignIn, pk=pk, user=_me(request))
    sessions.end([one], actor=_me(request), source_ip=client_ip(request))
    messages.success(request, _("That session ended; its pages and consoles close within seconds."))
    return redirect("accounts:security")


@sets_up_second_factor
@signed_in
@require_POST
def end_other_sessions(request: HttpRequest) -> HttpResponse:
    """End all of one's sessions but this one."""
    others = SignIn.objects.filter(user=_me(request)).exclude(session_key=request.session.session_key or "")
    ended = sessions.end(others, actor=_me(request), source_ip=client_ip(request))
    messages.success(request, ngettext("%(n)d session ended.", "%(n)d sessions ended.", ended) % {"n": ended})
    return redirect("accounts:security")


@signed_in
@require_POST
def seen(request: HttpRequest) -> HttpResponse:
    """A sign of life of somebody who works on a page without asking for another; the middleware notes it."""
    return HttpResponse(status=204)


@signed_in
@never_cache
@recently_signed_in
@sensitive_variables("text")
def token_list(request: HttpRequest) -> HttpResponse:
    """One's own API tokens; a new one is shown in the answer that made it, and never again."""
    form, text = TokenForm(request.POST or None, user=_me(request)), ""
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        try:
            _token, text = tokens.issue(
                _me(request),
                data["name"],
                data["role"],
                data["place"],
                data["key"],
                form.expires_at,
                source_ip=client_ip(request),
            )
        except tokens.TooMany as error:
            form.add_error(None, str(error.reason) % {"n": tokens.MOST})
        else:
            form = TokenForm(user=_me(request))
    context = {"form": form, "text": text, "tokens": _tokens(_me(request)), "public_url": settings.PUBLIC_URL}
    return render(request, "accounts/tokens.html", context, status=422 if form.errors else 200)


@signed_in
@require_POST
def token_revoke(request: HttpRequest, pk: UUID) -> HttpResponse:
    """End one of one's own tokens."""
    token = get_object_or_404(ApiToken, pk=pk, user=_me(request))
    tokens.revoke(token, actor=_me(request), source_ip=client_ip(request))
    messages.success(request, _("“%(name)s” opens nothing any more.") % {"name": token.name})
    return redirect("accounts:tokens")


@need("people.manage")
@never_cache
def person_security(request: HttpRequest, pk: int) -> HttpResponse:
    """How somebody signs in: second factor, sessions, tokens; for an administrator."""
    someone = get_object_or_404(User, pk=pk)
    present = request.session.session_key or ""
    context = _factors(someone) | {
        "someone": someone,
        "signed_in": sessions.listed(someone, present),
        "tokens": _tokens(someone),
    }
    return render(request, "accounts/person_security.html", context)


@need("people.manage")
@require_POST
def person_end_session(request: HttpRequest, pk: int, sign_in: int) -> HttpResponse:
    """End one of somebody's sessions."""
    one = get_object_or_404(SignIn, pk=sign_in, user=pk)
    sessions.end([one], actor=_me(request), source_ip=client_ip(request))
    messages.success(request, _("That session ended; its pages and consoles close within seconds."))
    return redirect("accounts:person-security", pk=pk)


@need("people.manage")
@require_POST
def person_revoke_token(request: HttpRequest, pk: int, token: UUID) -> HttpResponse:
    """End one of somebody's tokens."""
    one = get_object_or_404(ApiToken, pk=token, user=pk)
    tokens.revoke(one, actor=_me(request), source_ip=client_ip(request))
    messages.success(request, _("“%(name)s” opens nothing any more.") % {"name": one.name})
    return redirect("accounts:person-security", pk=pk)


@need("people.manage")
@require_POST
@recently_signed_in
def person_reset_factor(request: HttpRequest, pk: int) -> HttpResponse:
    """Take a lost second factor away."""
    someone = get_object_or_404(User, pk=pk)
    try:
        second_factor.reset(actor=_me(request), person=someone, source_ip=client_ip(request))
    except Refusal as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(request, _("%(name)s signs in with the password alone now.") % {"name": someone.username})
    return redirect("accounts:person-security", pk=pk)


@need("people.manage")
@require_POST
@never_cache
@recently_signed_in
@sensitive_variables("link")
def person_password_link(request: HttpRequest, pk: int) -> HttpResponse:
    """Make a one-time link by which somebody sets a new password; shown in this answer only."""
    someone = get_object_or_404(User, pk=pk)
    try:
        link = password_links.make(actor=_me(request), person=someone, source_ip=client_ip(request))
    except Refusal as refusal:
        messages.error(request, str(refusal))
        return redirect("accounts:person-security", pk=pk)
    return render(request, "accounts/password_link.html", {"someone": someone, "link": link})


@need("people.manage")
@require_POST
@recently_signed_in
def role_second_factor(request: HttpRequest, slug: str) -> HttpResponse:
    """Demand a second factor of a role, or no longer."""
    required = "required" in request.POST
    try:
        second_factor.set_required(slug, required, actor=_me(request), source_ip=client_ip(request))
    except KeyError as error:
        raise Http404 from error
    except Refusal as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(request, _("Saved."))
    return redirect("accounts:people-role", slug=slug)


@public
@never_cache
@sensitive_post_parameters("password", "again")
def set_password(request: HttpRequest, token: str) -> HttpResponse:
    """Set one's password by the link that an administrator gave."""
    person = password_links.person_of(token)
    if person is None:
        raise Http404
    form = SetPasswordForm(request.POST or None, person=person)
    if request.method == "POST" and form.is_valid():
        if not password_links.use(token, form.cleaned_data["password"], source_ip=client_ip(request)):
            raise Http404
        messages.success(request, _("Your password is set. Sign in with it."))
        return redirect("account_login")
    context = {"form": form, "person": person}
    return render(request, "accounts/set_password.html", context, status=422 if form.errors else 200)
