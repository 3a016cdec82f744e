"""Pages of people: set-up, people, preferences."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth import login
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST

from dashboard.accounts import people
from dashboard.accounts.adapter import client_ip
from dashboard.accounts.decorators import need, public, signed_in
from dashboard.accounts.forms import FirstAdministratorForm, PersonChangeForm, PersonForm, PreferencesForm
from dashboard.accounts.giving import Above, Refusal
from dashboard.accounts.grant_forms import GrantForm
from dashboard.accounts.grant_views import last_administrator, rights_of_person, with_grants
from dashboard.accounts.models import User
from dashboard.accounts.permissions import ADMINISTRATOR
from dashboard.accounts.recent import recently_for_changes, recently_signed_in

BACKEND = "allauth.account.auth_backends.AuthenticationBackend"


@public
@never_cache
@sensitive_post_parameters("password", "again")
def setup(request: HttpRequest, token: str) -> HttpResponse:
    """Make the first administrator by the one-time link that `make run` prints."""
    if not people.setup_token_fits(token):
        raise Http404
    form = FirstAdministratorForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        if not people.spend_setup_token(token):
            raise Http404
        person = people.add_person(
            actor=None,
            username=form.cleaned_data["username"],
            password=form.cleaned_data["password"],
            role=ADMINISTRATOR,
            source_ip=client_ip(request),
        )
        people.setup_token()
        login(request, person, backend=BACKEND)
        return redirect("guests:list")
    return render(request, "accounts/setup.html", {"form": form}, status=422 if form.errors else 200)


@need("people.manage")
def people_list(request: HttpRequest) -> HttpResponse:
    """Everybody, with role, last sign-in and whether they may sign in."""
    everybody = User.objects.order_by("username").prefetch_related("groups")
    return render(request, "accounts/people.html", {"people": with_grants(everybody)})


@need("people.manage")
@recently_signed_in
@sensitive_post_parameters("password", "again")
def person_add(request: HttpRequest) -> HttpResponse:
    """Add a person."""
    form = PersonForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        try:
            people.add_person(
                actor=request.user,  # type: ignore[arg-type]
                username=data["username"],
                password=data["password"],
                role=data["role"],
                source_ip=client_ip(request),
            )
        except Refusal as refusal:
            form.add_error("role", str(refusal))
        else:
            messages.success(request, _("%(name)s may sign in now.") % {"name": data["username"]})
            return redirect("accounts:people")
    return render(request, "accounts/person_add.html", {"form": form}, status=422 if form.errors else 200)


@need("people.manage")
@recently_for_changes
def person(request: HttpRequest, pk: int) -> HttpResponse:
    """Change a person's role, or keep them from signing in."""
    someone = get_object_or_404(User, pk=pk)
    form = PersonChangeForm(request.POST or None, instance=someone, initial={"role": someone.role})
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        someone.refresh_from_db()
        try:
            people.change_person(
                actor=request.user,  # type: ignore[arg-type]
                person=someone,
                role=data["role"],
                is_active=data["is_active"],
                source_ip=client_ip(request),
            )
        except people.LastAdministrator:
            form.add_error(None, last_administrator())
        except Refusal as refusal:
            form.add_error(None if isinstance(refusal, Above) else "role", str(refusal))
        else:
            messages.success(request, _("%(name)s was changed.") % {"name": someone.username})
            return redirect("accounts:people")
    return person_page(request, someone, form, status=422 if form.errors else 200)


def person_page(
    request: HttpRequest,
    someone: User,
    form: PersonChangeForm | None = None,
    grant_form: GrantForm | None = None,
    status: int = 200,
) -> HttpResponse:
    """A person's page, with a form that has errors in place of a fresh one."""
    form = form or PersonChangeForm(instance=someone, initial={"role": someone.role})
    context = {"form": form, "someone": someone, **rights_of_person(someone, grant_form)}
    return render(request, "accounts/person.html", context, status=status)


@need("people.manage")
@require_POST
def person_end_sessions(request: HttpRequest, pk: int) -> HttpResponse:
    """Sign a person out everywhere."""
    someone = get_object_or_404(User, pk=pk)
    ended = people.sign_out(actor=request.user, person=someone, source_ip=client_ip(request))  # type: ignore[arg-type]
    messages.success(request, ngettext("%(n)d session ended.", "%(n)d sessions ended.", ended) % {"n": ended})
    return redirect("accounts:people")


@signed_in
def preferences(request: HttpRequest) -> HttpResponse:
    """One's own language and theme."""
    form = PreferencesForm(request.POST or None, instance=request.user)
    if request.method == "POST" and form.is_valid():
        form.save()
        messages.success(request, _("Saved."))
        return redirect("accounts:preferences")
    return render(request, "accounts/preferences.html", {"form": form}, status=422 if form.errors else 200)
