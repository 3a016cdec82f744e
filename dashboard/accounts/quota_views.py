"""Pages where the quota of a person or group is set."""

from __future__ import annotations

from typing import cast

from django.contrib import messages
from django.contrib.auth.models import Group
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from dashboard.accounts.adapter import client_ip
from dashboard.accounts.decorators import need
from dashboard.accounts.limits import QuotaForm, initial, quota_of, set_quota
from dashboard.accounts.models import User


@need("people.manage")
@require_http_methods(["GET", "POST"])
def quota_person(request: HttpRequest, pk: int) -> HttpResponse:
    """A person's quota."""
    return _page(request, get_object_or_404(User, pk=pk), reverse("accounts:person", args=[pk]))


@need("people.manage")
@require_http_methods(["GET", "POST"])
def quota_group(request: HttpRequest, pk: int) -> HttpResponse:
    """What the members of a group may own together."""
    return _page(request, get_object_or_404(Group, pk=pk), reverse("accounts:people-group", args=[pk]))


def _page(request: HttpRequest, holder: User | Group, back: str) -> HttpResponse:
    form = QuotaForm(request.POST or None, initial=initial(quota_of(holder)))
    if request.method == "POST" and form.is_valid():
        actor = cast("User", request.user)
        set_quota(actor=actor, holder=holder, limits=form.limits(), source_ip=client_ip(request))
        messages.success(request, _("The quota of %(name)s is set.") % {"name": holder})
        return redirect(back)
    context = {"form": form, "holder": holder, "back": back, "is_group": isinstance(holder, Group)}
    return render(request, "accounts/quota.html", context, status=422 if form.errors else 200)
