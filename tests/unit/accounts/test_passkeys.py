"""Passkeys against a software authenticator: what it signs for us signs in, once; what it signs for others never does."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from django.contrib.sessions.models import Session
from django.test import Client
from fido2.cose import ES256
from fido2.utils import websafe_decode, websafe_encode
from fido2.webauthn import (
    Aaguid,
    AttestationObject,
    AttestedCredentialData,
    AuthenticatorData,
    CollectedClientData,
)
from pytest_django import Settings

from dashboard.accounts import second_factor, second_factor_views
from dashboard.accounts.models import AuditEntry, Counted, SignIn, User
from tests.unit.accounts.conftest import person, sign_in, signed_in

ORIGIN = "http://localhost:8000"
PRESENT, VERIFIED, WITH_KEY = 0x01, 0x04, 0x40
LOGIN = "/accounts/2fa/webauthn/login/"

pytestmark = pytest.mark.usefixtures("place")


@pytest.fixture(autouse=True)
def at_a_name(settings: Settings) -> None:
    settings.PUBLIC_URL = ORIGIN


class Device:
    """A phone or security key: one key pair for one site."""

    def __init__(self, rp: str = "localhost") -> None:
        self.rp, self.id = rp, b"credential-of-a-test-1234"
        self.key = ec.generate_private_key(ec.SECP256R1())

    def _client_data(self, kind: str, challenge: str, origin: str) -> bytes:
        return bytes(CollectedClientData.create(kind, websafe_decode(challenge), origin))

    def register(self, options: dict[str, Any], origin: str = ORIGIN) -> str:
        """The answer to navigator.credentials.create()."""
        self.user = options["publicKey"]["user"]["id"]
        public = ES256.from_cryptography_key(self.key.public_key())
        data = AttestedCredentialData.create(Aaguid.NONE, self.id, public)
        rp = hashlib.sha256(self.rp.encode()).digest()
        seen = AuthenticatorData.create(rp, PRESENT | VERIFIED | WITH_KEY, 0, bytes(data))
        client = self._client_data("webauthn.create", options["publicKey"]["challenge"], origin)
        return self._answer(
            {"clientDataJSON": client, "attestationObject": bytes(AttestationObject.create("none", seen, {}))}
        )

    def sign(self, options: dict[str, Any], *, origin: str = ORIGIN, flags: int = PRESENT | VERIFIED) -> str:
        """The answer to navigator.credentials.get()."""
        seen = bytes(AuthenticatorData.create(hashlib.sha256(self.rp.encode()).digest(), flags, 1))
        client = self._client_data("webauthn.get", options["publicKey"]["challenge"], origin)
        signature = self.key.sign(seen + hashlib.sha256(client).digest(), ec.ECDSA(hashes.SHA256()))
        return self._answer(
            {
                "clientDataJSON": client,
                "authenticatorData": seen,
                "signature": signature,
                "userHandle": websafe_decode(self.user),
            }
        )

    def _answer(self, response: dict[str, bytes]) -> str:
        parts = {name: websafe_encode(value) for name, value in response.items()}
        name = websafe_encode(self.id)
        return json.dumps({"id": name, "rawId": name, "type": "public-key", "response": parts})


def register(browser: Client, device: Device, **options: Any) -> Any:
    page = browser.get("/accounts/2fa/webauthn/add/")
    answer = device.register(page.context["js_data"]["creation_options"], **options)
    form = {"name": "Phone", "credential": answer, "passwordless": "on"}
    return browser.post("/accounts/2fa/webauthn/add/", form)


def challenge(browser: Client) -> dict[str, Any]:
    told: dict[str, Any] = browser.get(LOGIN, headers={"accept": "application/json"}).json()
    return told


@pytest.fixture
def device() -> Device:
    person("anna")
    made = Device()
    assert register(sign_in("anna"), made).status_code == 302
    return made


def test_a_passkey_signs_in_without_a_password(device: Device) -> None:
    assert User.objects.get().second_factor
    browser = Client()
    asked = challenge(browser)
    form = {"state": asked["state"], "credential": device.sign(asked["request_options"])}
    answer = browser.post(f"{LOGIN}?next=/jobs/", form)
    assert answer["Location"] == "/jobs/"
    assert signed_in(browser)


def test_an_answer_is_good_for_one_sign_in(device: Device) -> None:
    asked = challenge(Client())
    form = {"state": asked["state"], "credential": device.sign(asked["request_options"])}
    first, second = Client(), Client()
    first.post(LOGIN, form)
    second.post(LOGIN, form)
    assert signed_in(first) and not signed_in(second)


def test_an_answer_that_comes_late_or_to_no_challenge_of_ours_is_refused(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = challenge(Client())
    other = challenge(Client())
    mixed, forged, late = Client(), Client(), Client()
    mixed.post(LOGIN, {"state": other["state"], "credential": device.sign(asked["request_options"])})
    forged.post(LOGIN, {"state": "made:up", "credential": device.sign(asked["request_options"])})
    monkeypatch.setattr(second_factor_views, "CEREMONY_SECONDS", -1)
    late.post(LOGIN, {"state": asked["state"], "credential": device.sign(asked["request_options"])})
    assert not signed_in(mixed) and not signed_in(forged) and not signed_in(late)
    assert AuditEntry.objects.filter(result="wrong passkey").count() == 3


@pytest.mark.parametrize(
    "lie", [{"origin": "https://evil.example"}, {"origin": "http://localhost.evil.example"}, {"flags": PRESENT}]
)
def test_what_was_signed_for_another_site_or_by_nobody_known_is_refused(device: Device, lie: dict[str, Any]) -> None:
    browser = Client()
    asked = challenge(browser)
    browser.post(LOGIN, {"state": asked["state"], "credential": device.sign(asked["request_options"], **lie)})
    assert not signed_in(browser)


def test_another_key_or_another_signature_is_refused(device: Device) -> None:
    stolen = Device()
    stolen.user = device.user
    for answer in (
        stolen.sign(challenge(Client())["request_options"]),
        '{"id": "AAAA", "rawId": "AAAA", "type": "public-key", "response": {"userHandle": "MQ"}}',
        "[]", "{}", "null", '"x"', "1", "not json", '{"response": []}', '{"response": {"userHandle": 1}}', "",
    ):  # fmt: skip
        browser = Client()
        asked = challenge(browser)
        if '"signature"' in answer:
            answer = stolen.sign(asked["request_options"])
        said = browser.post(LOGIN, {"state": asked["state"], "credential": answer})
        assert said.status_code == 302, answer
        assert said["Location"] == "/accounts/login/"
        assert not signed_in(browser)


def test_a_disabled_person_does_not_come_in_by_it(device: Device) -> None:
    User.objects.update(is_active=False)
    browser = Client()
    asked = challenge(browser)
    browser.post(LOGIN, {"state": asked["state"], "credential": device.sign(asked["request_options"])})
    assert not signed_in(browser)


def test_it_is_the_second_step_after_the_password_too(device: Device) -> None:
    browser = sign_in("anna")
    assert not signed_in(browser)
    page = browser.get("/accounts/2fa/authenticate/")
    answer = device.sign(page.context["js_data"]["request_options"])
    browser.post("/accounts/2fa/authenticate/", {"credential": answer})
    assert signed_in(browser)
    again = sign_in("anna")
    again.get("/accounts/2fa/authenticate/")
    again.post("/accounts/2fa/authenticate/", {"credential": answer})
    assert not signed_in(again), "the answer was to another challenge"


def test_a_key_for_another_site_is_not_registered() -> None:
    person("anna")
    browser = sign_in("anna")
    assert register(browser, Device("evil.example")).status_code == 200
    assert register(browser, Device(), origin="https://evil.example").status_code == 200
    assert not User.objects.get().second_factor


def test_it_is_renamed_and_removed_by_its_owner_only(device: Device) -> None:
    person("ben")
    key = second_factor.passkeys_of(User.objects.get(username="anna"))[0]
    browser = Client()
    asked = challenge(browser)
    browser.post(LOGIN, {"state": asked["state"], "credential": device.sign(asked["request_options"])})
    browser.post(f"/accounts/2fa/webauthn/keys/{key.pk}/edit/", {"name": "<b>Old phone</b>"})
    assert "&lt;b&gt;Old phone" in browser.get("/security/").content.decode()
    assert sign_in("ben").post(f"/accounts/2fa/webauthn/keys/{key.pk}/remove/").status_code == 404
    browser.post(f"/accounts/2fa/webauthn/keys/{key.pk}/remove/")
    assert not User.objects.get(username="anna").second_factor


def test_strangers_fill_no_table_however_often_they_come(device: Device) -> None:
    Session.objects.all().delete()
    signs, audits = SignIn.objects.count(), AuditEntry.objects.count()
    stranger = Client()
    for number in range(100):
        stranger.cookies.clear()
        stranger.get("/accounts/login/", {"next": f"/jobs/?{number}"})
        stranger.get(LOGIN, headers={"accept": "application/json"})
        stranger.get(f"/password/{number}/")
        stranger.get("/")
    assert not Session.objects.exists()
    assert (SignIn.objects.count(), AuditEntry.objects.count()) == (signs, audits)
    assert Counted.objects.count() < 20


@pytest.mark.parametrize(
    ("address", "works"),
    [
        ("http://127.0.0.1:8000", False),
        ("http://vm.example.org", False),
        ("https://192.0.2.7", False),
        ("https://[2001:db8::1]", False),
        ("https://vm.example.org", True),
        ("http://localhost:8000", True),
    ],
)
def test_they_are_offered_where_browsers_allow_them(settings: Settings, address: str, works: bool) -> None:
    settings.PUBLIC_URL = address
    assert second_factor.passkeys_work_here() is works
    assert Client().get(LOGIN, headers={"accept": "application/json"}).status_code == (200 if works else 404)
    assert ("Use a passkey" in Client().get("/accounts/login/").content.decode()) is works
