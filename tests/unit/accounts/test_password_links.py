"""One-time links to set a password: once, for a day, hashed, and the second factor stays."""

from __future__ import annotations

import time
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.utils import timezone

from dashboard.accounts import grants, people
from dashboard.accounts.models import AuditEntry, Grant, PasswordLink, Role, User
from tests.unit.accounts.conftest import code_of, person, set_up_app, sign_in, signed_in, step

pytestmark = pytest.mark.usefixtures("place")

FRESH = {"password": "a quite new sentence", "again": "a quite new sentence"}


def link_for(name: str) -> str:
    """The path of a link that root makes for somebody."""
    root = sign_in("root")
    page = root.post(f"/people/{User.objects.get(username=name).pk}/password-link/")
    assert "no-store" in page["Cache-Control"]
    return urlsplit(page.context["link"]).path


@pytest.fixture(autouse=True)
def people_here(place: None) -> None:
    person("root", "administrator")
    person("anna")


def test_the_person_sets_a_password_that_the_administrator_never_sees() -> None:
    before = sign_in("anna")
    path = link_for("anna")
    assert Client().post(path, FRESH).status_code == 302
    assert signed_in(sign_in("anna", FRESH["password"]))
    assert before.get("/preferences/").status_code == 302, "signed out everywhere"
    assert sorted(AuditEntry.objects.filter(action__startswith="password.").values_list("action", "actor_name")) == [
        ("password.link", "root"),
        ("password.set", "anna"),
    ]


def test_it_works_once() -> None:
    path = link_for("anna")
    assert Client().get(path).status_code == 200
    assert Client().post(path, FRESH).status_code == 302
    assert Client().get(path).status_code == 404
    assert Client().post(path, FRESH).status_code == 404


@pytest.mark.parametrize(
    "change", ["a grant", "a grant of a group", "a group", "a role", "a grant less", "disabled for a while"]
)
def test_it_ends_when_what_the_person_may_do_changes(change: str) -> None:
    """Whoever made it was asked whether they may do as much as the person did then, and no more than that."""
    root, anna, group = (
        User.objects.get(username="root"), User.objects.get(username="anna"), Group.objects.create(name="some")
    )  # fmt: skip
    other = Role.objects.create(slug="other", name="Other", permissions=["guest.view"])
    Grant.objects.create(user=anna, role="other")
    if change == "a grant of a group":
        anna.groups.add(group)
    person("bob")
    path, of_another = link_for("anna"), link_for("bob")
    if change == "a grant":
        grants.add(actor=root, to=anna, role="administrator", place="everything")
    elif change == "a grant of a group":
        grants.add(actor=root, to=group, role="administrator", place="everything")
    elif change == "a group":
        grants.join(actor=root, person=anna, group=group)
    elif change == "a role":
        other.permissions = ["guest.view", "host.manage"]
        grants.save_role(actor=root, role=other)
    elif change == "a grant less":
        grants.remove(actor=root, grant=Grant.objects.get(user=anna, role="other"))
    else:
        for active in (False, True):
            people.change_person(actor=root, person=anna, role=anna.role, is_active=active)
    assert Client().get(path).status_code == Client().post(path, FRESH).status_code == 404
    assert Client().get(of_another).status_code == 200, "nobody else's ends"


def test_it_works_for_a_day_and_a_new_one_ends_the_old() -> None:
    old, new = link_for("anna"), link_for("anna")
    assert Client().get(old).status_code == 404
    PasswordLink.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert Client().get(new).status_code == 404


def test_only_its_hash_is_kept() -> None:
    path = link_for("anna")
    token = path.strip("/").split("/")[-1]
    assert len(token) >= 40
    assert token not in str(list(PasswordLink.objects.values())) + str(list(AuditEntry.objects.values()))


def test_a_weak_password_is_refused_beside_its_field_and_the_link_stays() -> None:
    path = link_for("anna")
    page = Client().post(path, {"password": "short", "again": "short"})
    assert page.status_code == 422
    assert page.context["form"].errors["password"]
    assert Client().get(path).status_code == 200


def test_it_does_not_stand_for_the_second_factor() -> None:
    secret = set_up_app(sign_in("anna"))
    Client().post(link_for("anna"), FRESH)
    browser = sign_in("anna", FRESH["password"])
    assert not signed_in(browser)
    assert step(browser, code_of(secret, time.time() + 30))


def test_who_was_switched_off_meanwhile_cannot_use_it() -> None:
    from dashboard.accounts.models import User

    path = link_for("anna")
    User.objects.filter(username="anna").update(is_active=False)
    assert Client().get(path).status_code == 404


def test_only_an_administrator_makes_one() -> None:
    from dashboard.accounts.models import User

    root = User.objects.get(username="root")
    assert sign_in("anna").post(f"/people/{root.pk}/password-link/").status_code == 403
