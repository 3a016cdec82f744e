"""The list of guests as pages: table or screens, how a person likes it, what its search box offers, searches kept."""

from __future__ import annotations

import json
from typing import Any, cast

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme, urlencode
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from dashboard.accounts.access import can_somewhere
from dashboard.accounts.decorators import need
from dashboard.accounts.models import User
from dashboard.guests import actions, many, queries, rows, searches, tastes
from dashboard.guests.forms import SearchForm
from dashboard.guests.models import SavedSearch
from dashboard.guests.search_words import vocabulary
from dashboard.guests.words import for_scripts


def _user(request: HttpRequest) -> User:
    return cast("User", request.user)


@need("guest.view")
@require_GET
def guest_list(request: HttpRequest) -> HttpResponse:
    """All guests of all hosts that one may see, 50 a page; everything that narrows or orders it is in the address."""
    user = _user(request)
    filters = queries.Filters.read(request.GET, user)
    page, taste = queries.page_of(user, filters), tastes.taste_of(user)
    labels = rows.labels()
    context = {
        "labels": labels,
        "filters": filters,
        "tree": json.dumps(filters.query.tree, separators=(",", ":")),
        "page": page,
        "taste": taste,
        "screens": (filters.view or taste.view) == "screens",
        "rows": rows.list_rows(user, page, taste),
        "columns": rows.columns(filters, taste),
        "words": for_scripts(),
        "states": actions.state_filters(filters, page),
        "pages": actions.page_links(filters, page),
        "may_create": can_somewhere(user, "guest.create"),
        "may_many": many.may(user),
        "blank": actions.blank_row(
            may_power=can_somewhere(user, "guest.power"), sees_host=can_somewhere(user, "host.view")
        ),
        "chosen_host": filters.query.only("host"),
        **_kept(user, filters),
    }
    return render(request, "guests/list.html", context)


def _kept(user: User, filters: queries.Filters) -> dict[str, Any]:
    """The searches above the list, and whether this one can be kept."""
    kept = list(searches.visible_searches(user))
    new = (
        bool(filters.q)
        and not filters.error
        and filters.q not in {one.query for one in kept if one.owner_id == user.pk}
    )
    return {"searches": kept, "can_keep": new}


@need("guest.view")
@require_GET
def words(request: HttpRequest) -> JsonResponse:
    """What the search box offers: keys, and the values that this person may know of."""
    return JsonResponse({"keys": vocabulary(_user(request))})


@need("guest.view")
@require_POST
def taste(request: HttpRequest) -> HttpResponse:
    """Remember which columns somebody wants, or whether they look at screens; then back to the list."""
    columns = [] if "reset" in request.POST else request.POST.getlist("columns")
    chosen = columns if "reset" in request.POST or "columns" in request.POST else None
    tastes.keep(_user(request), columns=chosen, view=request.POST.get("view", ""))
    back = request.POST.get("next", "")
    own = back.startswith(reverse("guests:list")) and url_has_allowed_host_and_scheme(back, allowed_hosts=None)
    return redirect(back if own else "guests:list")


@need("guest.view")
@require_GET
def search_list(request: HttpRequest) -> HttpResponse:
    """One's own searches and those that others share."""
    user = _user(request)
    found = [(one, searches.may_edit(user, one)) for one in searches.visible_searches(user)]
    return render(request, "guests/searches.html", {"searches": found})


@need("guest.view")
@require_http_methods(["GET", "POST"])
def search_add(request: HttpRequest) -> HttpResponse:
    """Keep a search under a name."""
    new = SavedSearch(owner=_user(request), query=request.GET.get("q", ""))
    return _edit(request, new, _("“%(name)s” is kept."))


@need("guest.view")
@require_http_methods(["GET", "POST"])
def search_edit(request: HttpRequest, pk: int) -> HttpResponse:
    """Change a search's name or text, share it."""
    return _edit(request, _editable(request, pk), _("“%(name)s” is changed."))


def _editable(request: HttpRequest, pk: int) -> SavedSearch:
    found = searches.visible_searches(_user(request)).filter(pk=pk).first()
    if found is None or not searches.may_edit(_user(request), found):
        raise Http404
    return found


def _edit(request: HttpRequest, kept: SavedSearch, said: str) -> HttpResponse:
    form = SearchForm(request.POST or None, instance=kept, user=_user(request))
    if request.method == "POST" and form.is_valid():
        form.save()
        messages.success(request, said % {"name": kept.name})
        own = kept.owner_id == request.user.pk
        return redirect("guests:search", pk=kept.pk) if own or kept.shared else redirect("guests:searches")
    return render(request, "guests/search_form.html", {"form": form, "kept": kept}, status=422 if form.errors else 200)


@need("guest.view")
@require_POST
def search_delete(request: HttpRequest, pk: int) -> HttpResponse:
    """Forget a search."""
    kept = _editable(request, pk)
    kept.delete()
    messages.success(request, _("“%(name)s” is deleted.") % {"name": kept.name})
    return redirect("guests:searches")


@need("guest.view")
@require_GET
def search(request: HttpRequest, pk: int) -> HttpResponse:
    """A kept search by its own address, which stays when its text changes."""
    found = searches.visible_searches(_user(request)).filter(pk=pk).first()
    if found is None:
        raise Http404
    return redirect(f"{reverse('guests:list')}?{urlencode({'q': found.query})}")
