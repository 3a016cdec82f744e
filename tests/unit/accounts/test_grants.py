"""Granting: what a grant gives where, who may give it, who stays administrator, and what is written down."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client

from dashboard.accounts import grants, people
from dashboard.accounts.access import Place, can, can_somewhere, guests_where, on_hosts_where, rights_of
from dashboard.accounts.explain import effective, explain
from dashboard.accounts.giving import Refusal
from dashboard.accounts.models import AuditEntry, Grant, PasswordLink, Role, User
from dashboard.accounts.permissions import ADMINISTRATOR, OPERATOR, PERMISSIONS, VIEWER
from dashboard.accounts.signals import rights_changed
from dashboard.inventory.models import Guest, Host

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def plain_statics(settings: Any) -> None:
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = {**settings.STORAGES, "staticfiles": plain}


@pytest.fixture
def anna() -> User:
    return User.objects.create_user("anna", role=ADMINISTRATOR)


@pytest.fixture
def ben() -> User:
    return User.objects.create_user("ben")


@pytest.fixture
def manager() -> User:
    """Somebody who manages people and sees guests, and nothing else."""
    Role.objects.create(slug="managers", name="Managers", permissions=["people.manage", "guest.view"])
    return User.objects.create_user("mia", role="managers")


@pytest.fixture
def alpha() -> Host:
    return Host.objects.create(name="alpha", transport="test", status="live")


def make(host: Host, name: str, *tags: str) -> Guest:
    text = f" {' '.join(tags)} " if tags else ""
    return Guest.objects.create(host=host, uuid=uuid.uuid4(), name=name, state="running", tags=tags, tags_text=text)


def fresh(person: User) -> User:
    return User.objects.get(pk=person.pk)


def signed_in(person: User) -> Client:
    client = Client(HTTP_HOST="127.0.0.1")
    client.force_login(person, backend="allauth.account.auth_backends.AuthenticationBackend")
    return client


def seen(person: User) -> set[str]:
    return set(Guest.objects.filter(guests_where(fresh(person))).values_list("name", flat=True))


# -- what a grant gives


def test_a_grant_on_a_host_covers_its_guests_and_nothing_of_another(alpha: Host, anna: User, ben: User) -> None:
    beta = Host.objects.create(name="beta", transport="test", status="live")
    mine, other = make(alpha, "a"), make(beta, "b")
    grants.add(actor=anna, to=ben, role=OPERATOR, place="host", key=str(alpha.pk))
    person = fresh(ben)
    assert can(person, "guest.power", mine) and can(person, "guest.create", alpha)
    assert not can(person, "guest.view", other) and not can(person, "guest.view")
    assert seen(ben) == {"a"}
    assert list(Host.objects.filter(on_hosts_where(person, "host.view", "pk"))) == [alpha]


@pytest.mark.parametrize("word", ["web", "WEB", "Straße", "ÄRGER", "a.b", "x_y", "50%"])
def test_a_grant_on_a_tag_follows_the_tag_whatever_its_case(alpha: Host, anna: User, ben: User, word: str) -> None:
    """What `can` says of one guest and what the filter says of the list is the same."""
    guests = [
        make(alpha, "1", word),
        make(alpha, "2", word.lower(), "more"),
        make(alpha, "3", f"{word}2"),
        make(alpha, "4"),
    ]
    guests += [
        make(alpha, "5", word.replace(".", "x").replace("_", "z").replace("%", "00"))
        if word in ("a.b", "x_y", "50%")
        else make(alpha, "5")
    ]
    grants.add(actor=anna, to=ben, role=VIEWER, place="tag", key=word)
    person = fresh(ben)
    assert {guest.name for guest in guests if can(person, "guest.view", guest)} == seen(ben) == {"1", "2"}
    assert not can(person, "host.view", alpha), "a tag gives nothing on the host"


def test_a_role_on_one_guest_gives_nothing_that_belongs_to_hosts_or_people(alpha: Host, anna: User, ben: User) -> None:
    guest = make(alpha, "a")
    grants.add(actor=anna, to=ben, role=ADMINISTRATOR, place="guest", key=f"{alpha.pk}/{guest.uuid}")
    person = fresh(ben)
    held = {name for name in PERMISSIONS if can_somewhere(person, name)}
    assert held == {name for name in PERMISSIONS if name.startswith("guest.")} - {"guest.create"} | {"job.view"}
    assert can(person, "guest.delete", guest) and not can(person, "guest.create", alpha)


def test_an_administrator_of_a_host_manages_no_people(alpha: Host, anna: User, ben: User) -> None:
    grants.add(actor=anna, to=ben, role=ADMINISTRATOR, place="host", key=str(alpha.pk))
    assert not can_somewhere(fresh(ben), "people.manage") and not can_somewhere(fresh(ben), "audit.view")
    assert signed_in(ben).get("/people/").status_code == 403
    assert signed_in(ben).get("/hosts/new/").status_code == 403, "a new host belongs to nobody's grant"


def test_members_have_what_their_group_was_granted(alpha: Host, anna: User, ben: User) -> None:
    guest, group = make(alpha, "a", "web"), grants.add_group(actor=anna, name="web team")
    grants.add(actor=anna, to=group, role=OPERATOR, place="tag", key="web")
    assert not can(fresh(ben), "guest.power", guest)
    grants.join(actor=anna, person=ben, group=group)
    assert can(fresh(ben), "guest.power", guest)
    grants.leave(actor=anna, person=ben, group=group)
    assert not can(fresh(ben), "guest.power", guest)


def test_a_disabled_person_has_no_right_by_any_grant(alpha: Host, anna: User, ben: User) -> None:
    grants.add(actor=anna, to=ben, role=OPERATOR, place="host", key=str(alpha.pk))
    User.objects.filter(pk=ben.pk).update(is_active=False)
    assert not rights_of(fresh(ben)).hosts and seen(ben) == set()


def test_grants_with_keys_that_make_no_sense_give_nothing(alpha: Host, ben: User) -> None:
    make(alpha, "a", "web")
    for place, key in (("host", ""), ("host", "x"), ("tag", ""), ("guest", "x/y"), ("guest", ""), ("moon", "1")):
        Grant.objects.create(user=ben, role=ADMINISTRATOR, place=place, key=key)
    assert seen(ben) == set() and not can_somewhere(fresh(ben), "host.view")


# -- nobody gives what they do not have


def test_nobody_grants_more_than_they_have(alpha: Host, manager: User, ben: User) -> None:
    with pytest.raises(Refusal, match="Start, stop"):
        grants.add(actor=manager, to=ben, role=OPERATOR, place="everything")
    with pytest.raises(Refusal):
        grants.add(actor=manager, to=manager, role=ADMINISTRATOR, place="host", key=str(alpha.pk))
    grants.add(actor=manager, to=ben, role="managers", place="everything")
    assert list(Grant.objects.filter(user=ben).values_list("role", flat=True)) == ["managers"]


def test_what_one_has_on_a_host_only_one_may_give_on_it_and_its_guests_only(
    alpha: Host, manager: User, ben: User
) -> None:
    Grant.objects.create(user=manager, role=OPERATOR, place="host", key=str(alpha.pk))
    guest, actor = make(alpha, "a", "web"), fresh(manager)
    grants.add(actor=actor, to=ben, role=OPERATOR, place="host", key=str(alpha.pk))
    grants.add(actor=actor, to=ben, role=OPERATOR, place="guest", key=f"{alpha.pk}/{guest.uuid}")
    for place, key in (("everything", ""), ("tag", "web"), ("host", str(alpha.pk + 1))):
        with pytest.raises(Refusal):
            grants.add(actor=actor, to=ben, role=OPERATOR, place=place, key=key)


def test_a_group_is_no_way_around(manager: User) -> None:
    group = Group.objects.create(name="admins")
    Grant.objects.create(group=group, role=ADMINISTRATOR)
    with pytest.raises(Refusal):
        grants.join(actor=manager, person=manager, group=group)
    assert not group.user_set.exists()


def test_a_role_of_ones_own_is_no_way_around(manager: User) -> None:
    mine = Role.objects.get(slug="managers")
    mine.permissions = [*mine.permissions, "host.manage"]
    with pytest.raises(Refusal, match="Add, change, check and remove hosts"):
        grants.save_role(actor=manager, role=mine)
    assert not can_somewhere(fresh(manager), "host.manage")
    mine.permissions = ["people.manage"]
    grants.save_role(actor=manager, role=mine)
    assert not can_somewhere(fresh(manager), "guest.view"), "less is always allowed"


def test_the_pages_of_people_are_no_way_around(manager: User, ben: User) -> None:
    client = signed_in(manager)
    page = client.post(f"/people/{manager.pk}/", {"role": ADMINISTRATOR, "is_active": "on"})
    assert page.status_code == 422 and "You cannot give what you do not have" in page.content.decode()
    new = {"username": "eve", "password": "four quiet words", "again": "four quiet words", "role": ADMINISTRATOR}
    assert client.post("/people/new/", new).status_code == 422
    page = client.post(f"/people/{ben.pk}/grants/", {"role": OPERATOR, "place": "everything"})
    assert page.status_code == 422 and "You cannot give what you do not have" in page.content.decode()
    assert not User.objects.filter(username="eve").exists()
    assert not Grant.objects.exclude(role="managers").exists()


@pytest.mark.parametrize("by", ["person", "group"])
def test_nobody_signs_in_as_somebody_who_may_do_more(anna: User, manager: User, ben: User, by: str) -> None:
    """A link for a new password, a second factor taken away: each would open an administrator's account."""
    if by == "group":
        ben.groups.add(group := Group.objects.create(name="admins"))
        Grant.objects.create(group=group, role=ADMINISTRATOR)
    chief, client = (anna if by == "person" else ben), signed_in(manager)
    for what in ("password-link", "second-factor/reset"):
        said = client.post(f"/people/{chief.pk}/{what}/", follow=True)
        assert "may do more than you" in said.content.decode(), what
    assert not PasswordLink.objects.exists()
    assert not AuditEntry.objects.filter(action__in=("password.link", "second_factor.reset")).exists()
    eve = User.objects.create_user("eve", role="managers")
    assert client.post(f"/people/{eve.pk}/password-link/").context["link"]
    assert PasswordLink.objects.get().user == eve


def test_nobody_keeps_out_or_weakens_who_may_do_more(anna: User, manager: User, ben: User) -> None:
    User.objects.create_user("zoe", role=ADMINISTRATOR)  # anna is not the last one
    group = grants.add_group(actor=anna, name="admins")
    by_group = grants.add(actor=anna, to=group, role=ADMINISTRATOR, place="everything")
    grants.join(actor=anna, person=ben, group=group)
    client, before = signed_in(manager), list(Grant.objects.values_list("pk", "role"))
    for chief, form in ((anna, {"role": ADMINISTRATOR}), (anna, {"role": "", "is_active": "on"}), (ben, {"role": ""})):
        page = client.post(f"/people/{chief.pk}/", form)
        assert page.status_code == 422 and "may do more than you" in page.content.decode(), form
    for path in (
        f"/people/grants/{Grant.objects.get(user=anna).pk}/remove/",
        f"/people/grants/{by_group.pk}/remove/",
        f"/people/groups/{group.pk}/members/{ben.pk}/remove/",
        f"/people/groups/{group.pk}/delete/",
    ):
        assert "may do more than you" in client.post(path, follow=True).content.decode(), path
    assert User.objects.filter(is_active=True, pk__in=(anna.pk, ben.pk)).count() == 2
    assert list(Grant.objects.values_list("pk", "role")) == before and ben.groups.get() == group


def test_who_may_do_as_much_may_take_it_away_also_from_themselves(anna: User, manager: User, ben: User) -> None:
    equal = User.objects.create_user("eve", role="managers")
    assert signed_in(manager).post(f"/people/{equal.pk}/", {"role": "managers"}).status_code == 302
    assert not User.objects.get(pk=equal.pk).is_active
    assert signed_in(manager).post(f"/people/{manager.pk}/", {"role": "", "is_active": "on"}).status_code == 302
    assert not Grant.objects.filter(user=manager).exists()
    page = signed_in(anna).post(f"/people/{anna.pk}/", {"role": VIEWER, "is_active": "on"})
    assert "This is the last administrator" in page.content.decode()
    assert people.administrators() == 1


def test_nobody_takes_from_a_role_what_they_lack(manager: User) -> None:
    more = Role.objects.create(slug="more", name="More", permissions=["people.manage", "host.manage"])
    more.permissions = ["people.manage"]
    with pytest.raises(Refusal, match="You cannot take away what you do not have yourself"):
        grants.save_role(actor=manager, role=more)
    assert "host.manage" in Role.objects.get(slug="more").permissions


def test_nobody_lays_open_a_role_that_may_do_more(manager: User) -> None:
    client = signed_in(manager)
    client.post("/people/roles/administrator/second-factor/", {"required": "1"})
    assert Role.objects.get(slug=ADMINISTRATOR).second_factor, "to demand more is always allowed"
    said = client.post("/people/roles/administrator/second-factor/", follow=True)
    assert "You cannot give what you do not have" in said.content.decode()
    assert Role.objects.get(slug=ADMINISTRATOR).second_factor


@pytest.mark.parametrize(
    "extra", ["is_superuser", "is_staff", "groups", "user_permissions", "second_factor", "password", "username"]
)
def test_a_form_sets_no_field_that_it_does_not_show(anna: User, ben: User, extra: str) -> None:
    group = Group.objects.create(name="admins")
    before = User.objects.filter(pk=ben.pk).values().get()
    value = str(group.pk) if extra == "groups" else "1"
    signed_in(anna).post(f"/people/{ben.pk}/", {"role": VIEWER, "is_active": "on", extra: value})
    signed_in(ben).post(
        "/preferences/", {"language": "en", "theme": "dark", extra: value, "role": ADMINISTRATOR, "is_active": ""}
    )
    after = User.objects.filter(pk=ben.pk).values().get()
    assert {name for name in before if before[name] != after[name]} <= {"language", "theme", "shortcuts", "last_login"}
    assert not fresh(ben).groups.exists() and fresh(ben).role == VIEWER


def test_a_grant_form_takes_no_holder_and_no_author(anna: User, ben: User) -> None:
    other = User.objects.create_user("otto")
    wish = {"role": VIEWER, "place": "everything", "user": other.pk, "group": "1", "created_by": "somebody", "key": "x"}
    signed_in(anna).post(f"/people/{ben.pk}/grants/", wish)
    grant = Grant.objects.get(user=ben)
    assert (grant.group, grant.created_by, grant.key) == (None, "anna", "")
    assert not Grant.objects.filter(user=other).exists()


# -- the last administrator


def only_by_group(anna: User) -> tuple[User, Group]:
    """An administrator by a group, and nobody else."""
    group = Group.objects.create(name="admins")
    Grant.objects.create(group=group, role=ADMINISTRATOR)
    anna.groups.add(group)
    Grant.objects.filter(user=anna).delete()
    return fresh(anna), group


def lose_by_leaving(anna: User, group: Group) -> None:
    grants.leave(actor=anna, person=anna, group=group)


def lose_the_grant(anna: User, group: Group) -> None:
    grants.remove(actor=anna, grant=Grant.objects.get(group=group))


def lose_the_group(anna: User, group: Group) -> None:
    grants.remove_group(actor=anna, group=Group.objects.get(pk=group.pk))


def lose_sign_in(anna: User, group: Group) -> None:
    people.change_person(actor=anna, person=anna, role="", is_active=False)


@pytest.mark.parametrize("lose", [lose_by_leaving, lose_the_grant, lose_the_group, lose_sign_in])
def test_the_last_administrator_stays_also_through_a_group(anna: User, lose: Callable[[User, Group], None]) -> None:
    anna, group = only_by_group(anna)
    with pytest.raises(people.LastAdministrator):
        lose(anna, group)
    assert can(fresh(anna), "people.manage")
    entries = AuditEntry.objects.exclude(action="session.start").count()
    User.objects.create_user("second", role=ADMINISTRATOR)
    lose(fresh(anna), group)
    assert not can(fresh(anna), "people.manage")
    assert AuditEntry.objects.exclude(action="session.start").count() == entries + 1


def test_a_role_of_ones_own_that_manages_people_does_not_make_the_last_administrator_spare(anna: User) -> None:
    """Who may do all of it by a role of their own is no administrator, and is not counted as one."""
    Role.objects.create(slug="all", name="All", permissions=list(PERMISSIONS))
    equal = User.objects.create_user("eve", role="all")
    with pytest.raises(people.LastAdministrator):
        grants.remove(actor=equal, grant=Grant.objects.get(user=anna))
    with pytest.raises(people.LastAdministrator):
        people.change_person(actor=equal, person=anna, role=ADMINISTRATOR, is_active=False)


# -- roles and groups


def test_a_role_in_use_is_not_deleted_and_says_who_has_it(anna: User, ben: User) -> None:
    role = Role.objects.create(slug="starters", name="Starters", permissions=["guest.power"])
    group = Group.objects.create(name="web team")
    Grant.objects.create(user=ben, role="starters", place="tag", key="web")
    Grant.objects.create(group=group, role="starters")
    client = signed_in(anna)
    page = client.post("/people/roles/starters/delete/", follow=True).content.decode()
    assert "Still granted to: ben, web team." in page
    Grant.objects.filter(role="starters").delete()
    client.post("/people/roles/starters/delete/")
    assert not Role.objects.filter(pk=role.pk).exists()
    assert AuditEntry.objects.filter(action="role.remove", object_name="Starters").count() == 1


@pytest.mark.parametrize("slug", ["viewer", "operator", "administrator"])
def test_a_built_in_role_is_shown_and_neither_changed_nor_deleted(anna: User, slug: str) -> None:
    client = signed_in(anna)
    assert client.get(f"/people/roles/{slug}/").status_code == 200
    client.post(f"/people/roles/{slug}/", {"name": "Mine", "permissions": ["guest.view"]})
    assert client.post(f"/people/roles/{slug}/delete/").status_code == 404
    assert not Role.objects.exists()


def test_a_role_is_made_and_changed_on_its_page(anna: User, ben: User) -> None:
    client = signed_in(anna)
    wrong = client.post("/people/roles/new/", {"name": "Operator", "permissions": ["guest.view"]})
    assert wrong.status_code == 422 and "There is a role of this name already." in wrong.content.decode()
    assert client.post("/people/roles/new/", {"name": "Starters"}).status_code == 422
    assert client.post("/people/roles/new/", {"name": "Starters", "permissions": ["guest.explode"]}).status_code == 422
    assert client.post("/people/roles/new/", {"name": "启动", "permissions": ["guest.view"]}).status_code == 302
    assert client.post("/people/roles/new/", {"name": "Starters", "permissions": ["guest.view"]}).status_code == 302
    Grant.objects.create(user=ben, role="starters")
    client.post("/people/roles/starters/", {"name": "Starters", "permissions": ["guest.view", "guest.power"]})
    assert can(fresh(ben), "guest.power")
    assert client.get("/people/roles/").status_code == 200


def test_every_change_of_rights_is_written_down(anna: User, ben: User) -> None:
    client = signed_in(anna)
    client.post("/people/groups/", {"name": "web team"})
    group = Group.objects.get()
    client.post(f"/people/groups/{group.pk}/members/", {"person": ben.pk})
    client.post(f"/people/groups/{group.pk}/grants/", {"role": OPERATOR, "place": "tag", "tag": "web"})
    client.post(f"/people/{ben.pk}/grants/", {"role": VIEWER, "place": "everything"})
    for grant in Grant.objects.exclude(user=anna):
        client.post(f"/people/grants/{grant.pk}/remove/")
    client.post(f"/people/groups/{group.pk}/members/{ben.pk}/remove/")
    client.post(f"/people/groups/{group.pk}/delete/")
    done = AuditEntry.objects.filter(actor=anna).exclude(action="session.start").order_by("at")
    actions = [(entry.action, entry.object_name) for entry in done]
    assert actions[:4] == [
        ("group.add", "web team"),
        ("group.join", "web team"),
        ("grant.add", "web team"),
        ("grant.add", "ben"),
    ]
    assert sorted(actions[4:6]) == [("grant.remove", "ben"), ("grant.remove", "web team")]
    assert actions[6:] == [("group.leave", "web team"), ("group.remove", "web team")]
    assert done.filter(action="grant.add").first().detail == {"role": OPERATOR, "place": "tag", "key": "web"}  # type: ignore[union-attr]
    assert set(done.values_list("source_ip", flat=True)) == {"127.0.0.1"}


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({"role": VIEWER, "place": "host", "host": "987654"}, "host"),
        ({"role": VIEWER, "place": "host"}, "host"),
        ({"role": VIEWER, "place": "tag", "tag": "two words"}, "tag"),
        ({"role": VIEWER, "place": "guest", "guest": "1/not-a-uuid"}, "guest"),
        ({"role": "emperor", "place": "everything"}, "role"),
        ({"role": VIEWER, "place": "moon"}, "place"),
    ],
)
def test_a_grant_that_makes_no_sense_is_told_beside_its_field(
    anna: User, ben: User, wish: dict[str, str], field: str
) -> None:
    page = signed_in(anna).post(f"/people/{ben.pk}/grants/", wish)
    assert page.status_code == 422 and field in page.context["grant_form"].errors
    assert not Grant.objects.filter(user=ben).exists()


def test_the_same_grant_twice_is_one(anna: User, ben: User) -> None:
    for tag in ("web", "WEB"):
        grants.add(actor=anna, to=ben, role=VIEWER, place="tag", key=tag)
    assert Grant.objects.filter(user=ben).count() == 1


def test_saving_a_person_leaves_other_grants_alone(anna: User, ben: User) -> None:
    Role.objects.create(slug="auditors", name="Auditors", permissions=["audit.view"])
    for role, place, key in ((OPERATOR, "everything", ""), ("auditors", "everything", ""), (VIEWER, "tag", "web")):
        Grant.objects.create(user=ben, role=role, place=place, key=key)
    signed_in(anna).post(f"/people/{ben.pk}/", {"role": VIEWER, "is_active": "on"})
    left = set(Grant.objects.filter(user=ben).values_list("role", "place"))
    assert left == {(VIEWER, "everything"), ("auditors", "everything"), (VIEWER, "tag")}


def test_only_who_manages_people_gets_at_these_pages(ben: User, anna: User) -> None:
    Grant.objects.create(user=ben, role=OPERATOR)
    client = signed_in(ben)
    for path in ("groups/", "groups/1/", "roles/", "roles/viewer/", "roles/new/", "places/guest.json"):
        assert client.get(f"/people/{path}").status_code == 403, path
    for path in (f"{ben.pk}/grants/", "grants/1/remove/", "groups/1/members/", "roles/viewer/delete/"):
        assert client.post(f"/people/{path}", {"role": ADMINISTRATOR, "place": "everything"}).status_code == 403, path
        assert signed_in(anna).get(f"/people/{path}").status_code in (404, 405), "nothing is changed by looking"


def test_places_are_found_by_their_names(anna: User, alpha: Host) -> None:
    guest = make(alpha, "db1", "Web")
    client = signed_in(anna)
    assert client.get("/people/places/guest.json?q=db").json()["choices"] == [
        {"value": f"{alpha.pk}/{guest.uuid}", "text": "db1 (alpha)"}
    ]
    assert client.get("/people/places/host.json?q=alp").json()["choices"] == [{"value": str(alpha.pk), "text": "alpha"}]
    assert client.get("/people/places/tag.json?q=w").json()["choices"] == [{"value": "web", "text": "web"}]
    assert client.get("/people/places/moon.json").status_code == 404


# -- what hangs on grants


def test_a_tag_on_which_something_is_granted_is_moved_by_who_manages_people_only(anna: User, ben: User) -> None:
    Grant.objects.create(user=ben, role=OPERATOR, place="everything")
    grants.add(actor=anna, to=ben, role=ADMINISTRATOR, place="tag", key="Prod")
    assert grants.guarded(fresh(ben), Place(1, "u", ("prod",)), []) == ["prod"]
    assert grants.guarded(fresh(ben), Place(1, "u"), ["PROD", "x"]) == ["prod"]
    assert grants.guarded(fresh(ben), Place(1, "u", ("prod",)), ["Prod", "other"]) == []
    assert grants.guarded(fresh(anna), Place(1, "u", ("prod",)), ["x"]) == []


def test_who_manages_people_gives_nobody_more_by_a_tag_than_they_have_on_the_machine(manager: User) -> None:
    """Administrator of what is tagged "mine": to tag any machine so would make one its administrator."""
    Role.objects.filter(slug="managers").update(permissions=["people.manage", "guest.view", "guest.change"])
    Grant.objects.create(user=manager, role=ADMINISTRATOR, place="tag", key="mine")
    Grant.objects.create(user=manager, role=VIEWER, place="tag", key="seen")
    Grant.objects.create(user=manager, role=OPERATOR, place="guest", key="1/u")
    assert grants.guarded(fresh(manager), Place(1, "v"), ["mine"]) == ["mine"]
    assert grants.guarded(fresh(manager), Place(1, "v", ("mine",)), []) == [], "less is always allowed"
    assert grants.guarded(fresh(manager), Place(1, "u"), ["seen"]) == [], "they watch it anyway"


def test_grants_go_with_their_host_and_with_a_guest_that_is_deleted(anna: User, ben: User, alpha: Host) -> None:
    beta = Host.objects.create(name="beta", transport="test", status="live")
    one, two, other = make(alpha, "1"), make(alpha, "2"), make(beta, "3")
    for host, guest in ((alpha, one), (alpha, two), (beta, other)):
        grants.add(actor=anna, to=ben, role=VIEWER, place="guest", key=f"{host.pk}/{guest.uuid}")
    grants.add(actor=anna, to=ben, role=VIEWER, place="host", key=str(alpha.pk))
    one.delete()
    assert Grant.objects.filter(key=f"{alpha.pk}/{one.uuid}").exists(), "it merely left the mirror"
    grants.forget_guest(alpha.pk, str(one.uuid))
    assert not Grant.objects.filter(key=f"{alpha.pk}/{one.uuid}").exists()
    page = signed_in(anna).post(f"/hosts/{alpha.pk}/remove/", {"name": "alpha"})
    assert page.status_code == 302
    assert [grant.key for grant in Grant.objects.filter(user=ben)] == [f"{beta.pk}/{other.uuid}"]


def test_the_maker_of_a_guest_gets_it_only_if_they_could_not_use_it_otherwise(ben: User, alpha: Host) -> None:
    Role.objects.create(slug="makers", name="Makers", permissions=["host.view", "guest.create"])
    maker = User.objects.create_user("mona")
    for person, role in ((ben, OPERATOR), (maker, "makers")):
        Grant.objects.create(user=person, role=role, place="host", key=str(alpha.pk))
        grants.give_to_maker(fresh(person), alpha.pk, "6f1c1f8e-0000-4000-8000-000000000001")
    made = Grant.objects.get(place="guest")
    assert (made.user, made.role, made.key) == (maker, OPERATOR, f"{alpha.pk}/6f1c1f8e-0000-4000-8000-000000000001")


@pytest.fixture
def told() -> Any:
    heard: list[int] = []

    def hear(user_id: int, **kwargs: Any) -> None:
        heard.append(user_id)

    rights_changed.connect(hear)
    yield heard
    rights_changed.disconnect(hear)


def test_everybody_concerned_is_told_when_grants_groups_and_roles_change(
    anna: User, ben: User, told: list[int], django_capture_on_commit_callbacks: Any
) -> None:
    carl = User.objects.create_user("carl")
    group = Group.objects.create(name="web team")
    role = Role.objects.create(slug="starters", name="Starters", permissions=["guest.power"])

    def of(do: Callable[[], object]) -> set[int]:
        told.clear()
        with django_capture_on_commit_callbacks(execute=True):
            do()
        return set(told)

    assert of(lambda: grants.join(actor=anna, person=ben, group=group)) == {ben.pk}
    assert of(lambda: group.user_set.add(carl)) == {carl.pk}
    both = {ben.pk, carl.pk}
    assert of(lambda: grants.add(actor=anna, to=group, role="starters", place="tag", key="web")) == both
    assert of(lambda: grants.save_role(actor=anna, role=role)) == both
    assert of(lambda: grants.remove(actor=anna, grant=Grant.objects.get(group=group))) == both
    assert of(lambda: grants.leave(actor=anna, person=carl, group=group)) == {carl.pk}
    assert of(lambda: grants.remove_group(actor=anna, group=group)) == {ben.pk}
    assert of(lambda: grants.add(actor=anna, to=carl, role=VIEWER, place="everything")) == {carl.pk}


# -- why may I


def test_each_yes_names_its_grants_and_each_no_the_roles_that_would_do(anna: User, ben: User, alpha: Host) -> None:
    guest, group = make(alpha, "a", "Web"), Group.objects.create(name="web team")
    ben.groups.add(group)
    Grant.objects.create(group=group, role=VIEWER, place="tag", key="web")
    Grant.objects.create(user=ben, role=OPERATOR, place="host", key=str(alpha.pk + 1))
    answers = {answer.permission: answer for answer in explain(fresh(ben), guest.place)}
    reason = answers["guest.view"].reasons[0]
    assert (reason.role, reason.place, reason.group) == ("Viewer", "the tag web", "web team")
    assert not answers["guest.power"].allowed and answers["guest.power"].roles == ["Operator", "Administrator"]
    assert "people.manage" not in answers
    assert {one.permission for one in effective(fresh(ben))} >= {"guest.view", "host.view", "guest.power"}


def test_what_is_explained_is_what_is_so(anna: User, ben: User, alpha: Host) -> None:
    guest = make(alpha, "a", "web", "db")
    Role.objects.create(slug="own", name="Own", permissions=["guest.view", "audit.view", "storage.view", "nonsense"])
    for role, place, key in (
        ("own", "tag", "DB"),
        ("own", "host", str(alpha.pk)),
        (VIEWER, "guest", f"{alpha.pk}/{guest.uuid}"),
        (OPERATOR, "tag", "x"),
    ):
        Grant.objects.create(user=ben, role=role, place=place, key=key)
    for placed in (guest, alpha):
        for answer in explain(fresh(ben), placed.place):
            assert answer.allowed == can(fresh(ben), answer.permission, placed), (placed, answer.permission)


def test_why_i_may_stands_on_the_pages_of_guests_and_hosts(anna: User, ben: User, alpha: Host) -> None:
    guest = make(alpha, "a", "web")
    Grant.objects.create(user=ben, role=VIEWER, place="tag", key="web")
    mine = signed_in(ben)
    page = mine.get(f"/guests/{guest.uuid}/rights/").content.decode()
    assert "Viewer on the tag web" in page and "These roles would give it: Operator, Administrator." in page
    assert 'name="person"' not in page
    assert mine.get(f"/guests/{guest.uuid}/rights/?person={anna.pk}").status_code == 403
    assert mine.get(f"/hosts/{alpha.pk}/rights/").status_code == mine.get("/hosts/9999/rights/").status_code == 403
    asked = signed_in(anna).get(f"/guests/{guest.uuid}/rights/?person={ben.pk}").content.decode()
    assert "What ben may do here" in asked and "Viewer on the tag web" in asked
    assert signed_in(anna).get(f"/hosts/{alpha.pk}/rights/").status_code == 200
    assert signed_in(anna).get(f"/hosts/{alpha.pk}/rights/?person=x").status_code == 404


def test_the_page_that_says_no_names_the_permission(ben: User) -> None:
    page = signed_in(ben).get("/people/").content.decode()
    assert "Add people, grant roles, set quotas, end sessions" in page and "people.manage" in page
