"""Pages of rights: what a person and a group were granted, groups with their members, roles."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, cast

from django.contrib import messages
from django.contrib.auth.models import Group
from django.db.models import Count
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from dashboard.accounts import grants, places
from dashboard.accounts.adapter import client_ip
from dashboard.accounts.decorators import need
from dashboard.accounts.explain import all_roles, effective
from dashboard.accounts.giving import Refusal
from dashboard.accounts.grant_forms import AREAS, OFFERED, GrantForm, GroupForm, JoinForm, MemberForm, RoleForm
from dashboard.accounts.models import Grant, Role, User
from dashboard.accounts.people import LastAdministrator
from dashboard.accounts.permissions import PERMISSIONS, ROLES
from dashboard.accounts.recent import recently_for_changes, recently_signed_in

Context = dict[str, Any]


def last_administrator() -> str:
    """Said when nobody would be left who may add people."""
    return _("This is the last administrator: make somebody else administrator first.")


def _by(request: HttpRequest) -> dict[str, Any]:
    return {"actor": cast("User", request.user), "source_ip": client_ip(request)}


def _try(request: HttpRequest, do: Callable[[], object], done: str) -> bool:
    """Do it and say so, or say why not."""
    try:
        do()
    except LastAdministrator:
        messages.error(request, last_administrator())
    except Refusal as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(request, done)
        return True
    return False


def _back(holder: User | Group) -> HttpResponse:
    if isinstance(holder, User):
        return redirect("accounts:person", pk=holder.pk)
    return redirect("accounts:people-group", pk=holder.pk)


def grant_rows(holder: User | Group) -> list[Context]:
    """What a person or group was granted itself, in words."""
    found = list(Grant.objects.filter(**grants.holder_fields(holder)))
    roles, names = all_roles(), places.names_of(found)
    return [
        {"grant": one, "role": roles.get(one.role, (one.role,))[0], "place": names[one.place, one.key]} for one in found
    ]


def with_grants(people: Iterable[User]) -> list[Context]:
    """People for their list, each with roles and groups in words; a constant number of queries."""
    everybody = list(people)
    own: dict[int, list[Grant]] = {someone.pk: [] for someone in everybody}
    for grant in Grant.objects.filter(user__in=own):
        own[grant.user_id or 0].append(grant)
    roles, names = all_roles(), places.names_of(grant for some in own.values() for grant in some)
    return [
        {
            "person": someone,
            "groups": [group.name for group in someone.groups.all()],
            "grants": [
                {"role": roles.get(one.role, (one.role,))[0], "place": names[one.place, one.key], "all": not one.key}
                for one in own[someone.pk]
            ],
        }
        for someone in everybody
    ]


def rights_of_person(someone: User, form: GrantForm | None = None) -> Context:
    """What a person's page shows of their rights."""
    return {
        "grants": grant_rows(someone),
        "groups": someone.groups.order_by("name"),
        "effective": effective(someone),
        "grant_form": form or GrantForm(),
        "join_form": JoinForm(someone),
    }


def _grant_to(request: HttpRequest, holder: User | Group) -> GrantForm | None:
    """Grant what the form says; the form again when it cannot be."""
    form = GrantForm(request.POST)
    if not form.is_valid():
        return form
    data = form.cleaned_data
    try:
        grants.add(to=holder, role=data["role"], place=data["place"], key=data["key"], **_by(request))
    except Refusal as refusal:
        form.add_error("role", str(refusal))
        return form
    messages.success(request, _("Granted. It takes effect at once."))
    return None


@need("people.manage")
@require_POST
@recently_signed_in
def person_grant(request: HttpRequest, pk: int) -> HttpResponse:
    """Grant a role to a person."""
    from dashboard.accounts.views import person_page

    someone = get_object_or_404(User, pk=pk)
    wrong = _grant_to(request, someone)
    return person_page(request, someone, grant_form=wrong, status=422) if wrong else _back(someone)


@need("people.manage")
@require_POST
@recently_signed_in
def group_grant(request: HttpRequest, pk: int) -> HttpResponse:
    """Grant a role to a group."""
    group = get_object_or_404(Group, pk=pk)
    wrong = _grant_to(request, group)
    return _group_page(request, group, wrong, status=422) if wrong else _back(group)


@need("people.manage")
@require_POST
@recently_signed_in
def grant_remove(request: HttpRequest, pk: int) -> HttpResponse:
    """Take a grant away."""
    grant = get_object_or_404(Grant.objects.select_related("user", "group"), pk=pk)
    holder = cast("User | Group", grant.user or grant.group)
    _try(request, lambda: grants.remove(grant=grant, **_by(request)), _("Taken away. It takes effect at once."))
    return _back(holder)


@need("people.manage")
@require_GET
def find_places(request: HttpRequest, kind: str) -> JsonResponse:
    """Hosts, tags or guests whose names hold what was typed, for the searchable lists."""
    if kind not in places.KINDS:
        raise Http404
    found = places.KINDS[kind].find(request.GET.get("q", "").strip()[:100], OFFERED)
    return JsonResponse({"choices": [{"value": key, "text": name} for key, name in found]})


# -- groups


@need("people.manage")
@recently_for_changes
def group_list(request: HttpRequest) -> HttpResponse:
    """All groups; adding one."""
    form = GroupForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        return _back(grants.add_group(name=form.cleaned_data["name"], **_by(request)))
    groups = Group.objects.annotate(
        members=Count("user", distinct=True), granted=Count("grants", distinct=True)
    ).order_by("name")
    status = 422 if form.errors else 200
    return render(request, "accounts/groups.html", {"groups": groups, "form": form}, status=status)


def _group_page(request: HttpRequest, group: Group, form: GrantForm | None = None, status: int = 200) -> HttpResponse:
    context = {
        "group": group,
        "members": group.user_set.order_by("username"),
        "grants": grant_rows(group),
        "grant_form": form or GrantForm(),
        "member_form": MemberForm(group),
    }
    return render(request, "accounts/group.html", context, status=status)


@need("people.manage")
@require_GET
def group_detail(request: HttpRequest, pk: int) -> HttpResponse:
    """One group: its members and what it was granted."""
    return _group_page(request, get_object_or_404(Group, pk=pk))


@need("people.manage")
@require_POST
@recently_signed_in
def group_remove(request: HttpRequest, pk: int) -> HttpResponse:
    """Delete a group."""
    group = get_object_or_404(Group, pk=pk)
    said = _("The group %(name)s was deleted.") % {"name": group.name}
    done = _try(request, lambda: grants.remove_group(group=group, **_by(request)), said)
    return redirect("accounts:people-groups") if done else _back(group)


@need("people.manage")
@require_POST
@recently_signed_in
def group_join(request: HttpRequest, pk: int) -> HttpResponse:
    """Add a member."""
    group = get_object_or_404(Group, pk=pk)
    form = MemberForm(group, request.POST)
    if not form.is_valid():
        messages.error(request, _("Choose a person who is not in the group yet."))
        return _back(group)
    someone = form.cleaned_data["person"]
    said = _("%(name)s is in %(group)s now.") % {"name": someone.username, "group": group.name}
    _try(request, lambda: grants.join(person=someone, group=group, **_by(request)), said)
    return _back(group)


@need("people.manage")
@require_POST
@recently_signed_in
def person_join(request: HttpRequest, pk: int) -> HttpResponse:
    """Add a person to a group, from the person's page."""
    someone = get_object_or_404(User, pk=pk)
    form = JoinForm(someone, request.POST)
    if not form.is_valid():
        messages.error(request, _("Choose a group that this person is not in yet."))
        return _back(someone)
    group = form.cleaned_data["group"]
    said = _("%(name)s is in %(group)s now.") % {"name": someone.username, "group": group.name}
    _try(request, lambda: grants.join(person=someone, group=group, **_by(request)), said)
    return _back(someone)


@need("people.manage")
@require_POST
@recently_signed_in
def group_leave(request: HttpRequest, pk: int, person: int) -> HttpResponse:
    """Take a member out; back to the page from which it was done."""
    group, someone = get_object_or_404(Group, pk=pk), get_object_or_404(User, pk=person)
    said = _("%(name)s is no longer in %(group)s.") % {"name": someone.username, "group": group.name}
    _try(request, lambda: grants.leave(person=someone, group=group, **_by(request)), said)
    return _back(someone if request.POST.get("from") == "person" else group)


# -- roles


@need("people.manage")
@require_GET
def role_list(request: HttpRequest) -> HttpResponse:
    """All roles with what they allow and who has them."""
    granted = dict(Grant.objects.values_list("role").annotate(number=Count("pk")).order_by())
    rows = [
        {
            "slug": slug,
            "name": name,
            "built_in": slug in ROLES,
            "permissions": [PERMISSIONS[one] for one in PERMISSIONS if one in allows],
            "granted": granted.get(slug, 0),
        }
        for slug, (name, allows) in all_roles().items()
    ]
    return render(request, "accounts/roles.html", {"roles": rows, "everything": len(PERMISSIONS)})


@need("people.manage")
@recently_for_changes
def role_add(request: HttpRequest) -> HttpResponse:
    """Make a role."""
    return _role_form(request, Role())


@need("people.manage")
@recently_for_changes
def role_detail(request: HttpRequest, slug: str) -> HttpResponse:
    """Look at a built-in role, or change one of one's own."""
    if slug in ROLES:
        name, allows = all_roles()[slug]
        areas = [{"label": AREAS[area], "permissions": _shown(area, allows)} for area in AREAS]
        context = {"name": name, "slug": slug, "areas": areas, "holders": grants.holders_of(slug)}
        return render(request, "accounts/role_built_in.html", context)
    return _role_form(request, get_object_or_404(Role, slug=slug))


def _shown(area: str, allows: frozenset[str]) -> list[Context]:
    mine = [name for name in PERMISSIONS if name.partition(".")[0] == area]
    return [{"name": name, "label": PERMISSIONS[name], "chosen": name in allows} for name in mine]


def _role_form(request: HttpRequest, role: Role) -> HttpResponse:
    form = RoleForm(request.POST or None, instance=role, initial={"permissions": role.permissions})
    if request.method == "POST" and form.is_valid():
        try:
            saved = grants.save_role(role=form.chosen(), **_by(request))
        except Refusal as refusal:
            form.add_error("permissions", str(refusal))
        else:
            messages.success(request, _("The role %(name)s is saved.") % {"name": saved.name})
            return redirect("accounts:people-roles")
    known = Role.objects.filter(pk=role.pk).first()
    context = {"form": form, "role": known, "holders": grants.holders_of(known.slug) if known else []}
    return render(request, "accounts/role.html", context, status=422 if form.errors else 200)


@need("people.manage")
@require_POST
@recently_signed_in
def role_remove(request: HttpRequest, slug: str) -> HttpResponse:
    """Delete a role that nobody has."""
    role = get_object_or_404(Role.objects.exclude(slug__in=ROLES), slug=slug)
    said = _("The role %(name)s was deleted.") % {"name": role.name}
    done = _try(request, lambda: grants.remove_role(role=role, **_by(request)), said)
    return redirect("accounts:people-roles") if done else redirect("accounts:people-role", slug=slug)
