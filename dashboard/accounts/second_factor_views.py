"""Our own views of the second factor, where allauth's would change something on a GET or let strangers fill a table."""

from __future__ import annotations

import hashlib

from allauth.account.models import Login
from allauth.account.utils import get_next_redirect_url
from allauth.core.internal import ratelimit
from allauth.mfa.models import Authenticator
from allauth.mfa.webauthn.forms import LoginWebAuthnForm
from allauth.mfa.webauthn.internal import auth, flows
from django.contrib import messages
from django.core import signing
from django.core.cache import cache
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from fido2.webauthn import UserVerificationRequirement

from dashboard.accounts.adapter import client_ip
from dashboard.accounts.audit import record
from dashboard.accounts.decorators import public, sets_up_second_factor, signed_in
from dashboard.accounts.recent import recently_signed_in
from dashboard.accounts.second_factor import codes_left, passkeys_work_here

SALT = "kvmweb.passkey"
CEREMONY_SECONDS = 300


@sets_up_second_factor
@signed_in
@never_cache
@recently_signed_in
def recovery_codes(request: HttpRequest) -> HttpResponse:
    """How many recovery codes are left; shows them once, when asked to."""
    kept = get_object_or_404(Authenticator, user=request.user, type=Authenticator.Type.RECOVERY_CODES)
    codes, shown = kept.wrap(), kept.wrap().did_view
    context = {"codes": [], "shown": shown, "left": codes_left(kept)}
    if request.method == "POST" and not shown:
        codes.mark_as_viewed()
        record(actor=kept.user, action="second_factor.codes", phase="event", result="ok", source_ip=client_ip(request))
        context["codes"] = codes.get_unused_codes()
    return render(request, "mfa/recovery_codes/index.html", context)


@public
@never_cache
def passkey_sign_in(request: HttpRequest) -> HttpResponse:
    """Sign in by a passkey alone: a GET gives the challenge, a POST brings the answer."""
    if not passkeys_work_here():
        raise Http404
    if request.method != "POST":
        return _challenge()
    refused: HttpResponse | None = ratelimit.consume_or_429(
        request, app="allauth.mfa", action="sign-in", config={"sign-in": "30/m/ip"}
    )
    if refused:
        return refused
    authenticator = _answered(request)
    if authenticator is None:
        record(actor=None, action="session.start", phase="denied", result="wrong passkey", source_ip=client_ip(request))
        messages.error(request, _("This passkey was not accepted. Try again, or use another way to sign in."))
        return redirect("account_login")
    login = Login(user=authenticator.user, redirect_url=get_next_redirect_url(request))
    answer: HttpResponse = flows.perform_passwordless_login(request, authenticator, login)
    return answer


def _challenge() -> JsonResponse:
    """A fresh challenge. The server keeps nothing for a stranger: what it must know comes back, signed, with the answer."""
    options, state = auth.get_server().authenticate_begin(
        credentials=[], user_verification=UserVerificationRequirement.REQUIRED
    )
    return JsonResponse({"request_options": dict(options), "state": signing.dumps(state, salt=SALT)})


def _answered(request: HttpRequest) -> Authenticator | None:
    """The passkey that answered our challenge, which was given out lately and answered once."""
    signed = request.POST.get("state", "")
    try:
        state = signing.loads(signed, salt=SALT, max_age=CEREMONY_SECONDS)
    except signing.BadSignature:
        return None
    spent = f"passkey-challenge:{hashlib.sha256(signed.encode()).hexdigest()}"
    if not cache.add(spent, "spent", timeout=CEREMONY_SECONDS):
        return None
    request.session[auth.STATE_SESSION_KEY] = state  # where allauth looks for it
    try:
        form = LoginWebAuthnForm(data=request.POST)
        return form.cleaned_data["credential"] if form.is_valid() else None
    except (AttributeError, LookupError, TypeError, ValueError):  # what is no answer of a browser at all
        return None
    finally:
        request.session.pop(auth.STATE_SESSION_KEY, None)
