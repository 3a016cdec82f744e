"""API tokens: shown once, hashed, scoped to what owner and scope both allow, ended by end, revocation and owner."""

from __future__ import annotations

import hashlib
import math
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from dashboard.accounts import people, tokens
from dashboard.accounts.access import Place, can, rights_of
from dashboard.accounts.models import ApiToken, AuditEntry, Role
from dashboard.accounts.permissions import PERMISSIONS, ROLES
from dashboard.inventory.models import Guest, Host
from tests.unit.accounts.conftest import person, sign_in

pytestmark = pytest.mark.usefixtures("place")

UUID = "00000000-0000-4000-8000-000000000042"


@pytest.fixture
def guest() -> Guest:
    host = Host.objects.create(name="alpha", transport="test", status="live")
    return Guest.objects.create(host=host, uuid=UUID, name="web1", state="running", tags=["web"])


def test_a_token_is_random_enough_begins_so_that_scanners_know_it_and_is_kept_as_a_hash() -> None:
    token, text = tokens.issue(person("anna"), "script")
    assert text.startswith("kvm_")
    assert len(text.removeprefix("kvm_")) * math.log2(64) >= 160
    token.refresh_from_db()
    assert token.digest == hashlib.sha256(text.encode()).hexdigest()
    stored = str(ApiToken.objects.values().get()) + str(list(AuditEntry.objects.values()))
    assert text not in stored
    assert token.hint == text[:10]


def test_a_token_is_shown_once() -> None:
    person("anna")
    browser = sign_in("anna")
    form = {"name": "script", "role": "viewer", "place": "everything", "which": "", "days": "7"}
    made = browser.post("/security/tokens/", form)
    text = made.context["text"]
    assert text in made.content.decode()
    assert "no-store" in made["Cache-Control"]
    again = browser.get("/security/tokens/").content.decode()
    assert text not in again
    assert text[:10] in again
    token = ApiToken.objects.get()
    assert (token.role, token.place) == ("viewer", "everything")
    assert token.expires_at is not None and timedelta(days=6) < token.expires_at - timezone.now() < timedelta(days=8)


def test_it_opens_what_its_owner_may_and_its_role_allows() -> None:
    anna = person("anna", "operator")
    for role in ROLES:
        owner = tokens.authenticate(tokens.issue(anna, role, role)[1])
        assert owner is not None
        allowed = {name for name in PERMISSIONS if can(owner, name)}
        assert allowed == ROLES["operator"] & ROLES[role], role


def test_a_token_without_a_role_does_all_that_its_owner_may_and_no_more() -> None:
    anna = person("anna", "viewer")
    owner = tokens.authenticate(tokens.issue(anna, "all")[1])
    assert owner is not None
    assert {name for name in PERMISSIONS if can(owner, name)} == ROLES["viewer"]


def test_the_owners_rights_count_at_the_moment_of_use() -> None:
    anna = person("anna", "operator")
    text = tokens.issue(anna, "script")[1]
    people.set_role(anna, "viewer")
    owner = tokens.authenticate(text)
    assert owner is not None
    assert not can(owner, "guest.power")


def test_a_place_narrows_a_token(guest: Guest) -> None:
    anna = person("anna", "operator")
    scopes = {"host": str(guest.host_id), "tag": "web", "guest": f"{guest.host_id}/{UUID}"}
    for place, key in scopes.items():
        owner = tokens.authenticate(tokens.issue(anna, place, "operator", place, key)[1])
        assert owner is not None
        assert can(owner, "guest.power", guest), place
        other = Guest(host_id=guest.host_id + 1, uuid="00000000-0000-4000-8000-000000000043", name="other")
        other.host = Host(pk=guest.host_id + 1, name="beta")
        assert not can(owner, "guest.power", other), place
        assert not can(owner, "guest.power"), place


def test_a_role_of_ones_own_making_that_is_gone_allows_nothing() -> None:
    role = Role.objects.create(slug="starters", name="Starters", permissions=["guest.power"])
    text = tokens.issue(person("anna", "operator"), "script", "starters")[1]
    owner = tokens.authenticate(text)
    assert owner is not None and {name for name in PERMISSIONS if can(owner, name)} == {"guest.power"}
    role.delete()
    owner = tokens.authenticate(text)
    assert owner is not None and not any(can(owner, name) for name in PERMISSIONS)


def test_it_ends_by_its_end_by_revocation_and_with_its_owner() -> None:
    anna = person("anna", "administrator")
    person("root", "administrator")
    _expired, expired = tokens.issue(anna, "a", expires_at=timezone.now() - timedelta(seconds=1))
    revoked_row, revoked = tokens.issue(anna, "b")
    open_row, still = tokens.issue(anna, "c")
    assert tokens.authenticate(revoked)
    tokens.revoke(revoked_row, actor=anna)
    assert tokens.authenticate(expired) is None
    assert tokens.authenticate(revoked) is None
    assert tokens.authenticate("kvm_guess") is None
    assert tokens.authenticate("") is None
    assert tokens.authenticate("\udcff" * 300) is None
    assert tokens.still_holds(open_row.pk) and not tokens.still_holds(revoked_row.pk)
    people.change_person(actor=anna, person=anna, role="administrator", is_active=False)
    assert tokens.authenticate(still) is None
    assert not tokens.still_holds(open_row.pk)


def test_its_last_use_is_noted_at_most_once_a_minute() -> None:
    token, text = tokens.issue(person("anna"), "script")
    tokens.authenticate(text, "192.0.2.7")
    token.refresh_from_db()
    first = token.last_used_at
    assert first is not None
    assert token.last_used_ip == "192.0.2.7"
    tokens.authenticate(text, "192.0.2.8")
    token.refresh_from_db()
    assert token.last_used_at == first
    ApiToken.objects.update(last_used_at=timezone.now() - timedelta(seconds=61))
    tokens.authenticate(text, "192.0.2.8")
    token.refresh_from_db()
    assert token.last_used_ip == "192.0.2.8"


def test_issuing_and_revoking_is_audited() -> None:
    anna = person("anna")
    token, _text = tokens.issue(anna, "script", source_ip="192.0.2.7")
    tokens.revoke(token, actor=anna)
    tokens.revoke(token, actor=anna)
    entries = AuditEntry.objects.filter(object_kind="token").values_list("action", flat=True)
    assert sorted(entries) == ["token.issue", "token.revoke"]


def test_nobody_revokes_somebody_elses_but_an_administrator_does() -> None:
    ben = person("ben")
    person("anna")
    person("root", "administrator")
    token, text = tokens.issue(ben, "script")
    anna, root = sign_in("anna"), sign_in("root")
    assert anna.post(f"/security/tokens/{token.pk}/revoke/").status_code == 404
    assert anna.post(f"/people/{ben.pk}/tokens/{token.pk}/revoke/").status_code == 403
    assert tokens.authenticate(text)
    assert "script" in root.get(f"/people/{ben.pk}/security/").content.decode()
    root.post(f"/people/{ben.pk}/tokens/{token.pk}/revoke/")
    assert tokens.authenticate(text) is None


def test_a_place_is_found_by_its_name_and_what_one_may_not_see_is_not_there(guest: Guest) -> None:
    person("anna", "operator")
    person("nemo", "")
    form = {"name": "script", "role": "", "place": "guest", "which": "web1", "days": ""}
    assert sign_in("anna").post("/security/tokens/", form).status_code == 200
    token = ApiToken.objects.get()
    assert (token.place, token.key, token.expires_at) == ("guest", f"{guest.host_id}/{UUID}", None)
    refused = sign_in("nemo").post("/security/tokens/", form)
    assert refused.status_code == 422
    assert refused.context["form"].errors["which"] == ["There is none with this name that you may see."]
    assert sign_in("nemo").post("/security/tokens/", form | {"place": "host", "which": ""}).status_code == 422
    assert ApiToken.objects.count() == 1


def test_fifty_are_enough() -> None:
    anna = person("anna")
    for number in range(tokens.MOST):
        tokens.issue(anna, str(number))
    with pytest.raises(tokens.TooMany):
        tokens.issue(anna, "one more")
    form = {"name": "x", "role": "", "place": "everything", "which": "", "days": "7"}
    page = sign_in("anna").post("/security/tokens/", form)
    assert page.status_code == 422
    assert "revoke some first" in page.content.decode()


def issue_token(*options: str) -> str:
    out = StringIO()
    call_command("issue_token", *options, stdout=out)
    return out.getvalue()


def test_the_command_prints_the_token_and_nothing_else() -> None:
    person("anna", "operator")
    said = issue_token("--username", "anna", "--name", "ci", "--role", "viewer", "--days", "3")
    assert said.count("\n") == 1
    owner = tokens.authenticate(said.strip())
    assert owner is not None
    assert can(owner, "guest.view") and not can(owner, "guest.power")
    assert rights_of(owner).allow("guest.power", Place())
    assert ApiToken.objects.get().expires_at is not None
    assert AuditEntry.objects.filter(action="token.issue", actor_name="anna").exists()


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--username", "nobody", "--name", "ci"), "there is nobody"),
        (("--username", "anna", "--name", "ci", "--role", "king"), "no role"),
        (("--username", "anna", "--name", " "), "name"),
        (("--username", "anna", "--name", "ci", "--days", "-1"), "days"),
    ],
)
def test_the_command_says_what_is_wrong(options: tuple[str, ...], why: str) -> None:
    person("anna")
    with pytest.raises(CommandError, match=why):
        issue_token(*options)
