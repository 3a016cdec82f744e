"""Adding a host: fields instead of URIs, and what each way to reach it needs."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import load_ssh_private_key
from hypothesis import given
from hypothesis import strategies as st

from dashboard.accounts.models import AuditEntry, User
from dashboard.hosts import enrol
from dashboard.hosts.forms import HostForm
from dashboard.inventory.credentials import load_secrets
from dashboard.inventory.models import Host

pytestmark = pytest.mark.django_db

SSH = {"name": "alpha", "transport": "ssh", "address": "alpha.example.org", "user": "root", "sign_in": "make"}


def errors(**changes: Any) -> dict[str, Any]:
    form = HostForm(SSH | changes)
    form.is_valid()
    return dict(form.errors)


def test_an_ssh_host_needs_a_name_an_address_and_a_user() -> None:
    assert not errors()
    assert set(errors(name="", address="", user="")) == {"name", "address", "user"}


def test_a_local_host_needs_a_name_only() -> None:
    assert not errors(transport="local", address="", user="", sign_in="")


def test_a_tls_host_needs_its_certificates() -> None:
    assert {"ca", "client_cert", "client_key"} <= set(errors(transport="tls"))


def test_a_password_is_needed_when_signing_in_by_password() -> None:
    assert set(errors(sign_in="password")) == {"password"}


@pytest.mark.parametrize(
    "address", ["-oProxyCommand=touch", "a;b", "a b", "a\nb", "qemu+ssh://x/system", "a/../b", "a?command=/x"]
)
def test_an_address_that_could_mean_more_is_refused(address: str) -> None:
    assert "address" in errors(address=address)


@pytest.mark.parametrize("user", ["-l", "root;id", "Root", "a b"])
def test_a_user_that_could_mean_more_is_refused(user: str) -> None:
    assert "user" in errors(user=user)


@given(st.text(max_size=60))
def test_no_address_is_taken_that_is_not_a_name_or_an_ip(address: str) -> None:
    form = HostForm(SSH | {"address": address})
    form.fields["name"].disabled = True
    form.is_valid()
    taken = form.cleaned_data.get("address") if hasattr(form, "cleaned_data") else ""
    if taken:
        assert not set(taken) & set(" ;&|$`\\\"'<>()?#@/\n\t")
        assert not taken.startswith("-")


def test_something_else_than_a_key_is_told_beside_its_field() -> None:
    assert "private_key" in errors(sign_in="key", private_key="hello")


def test_a_key_with_windows_line_ends_is_taken() -> None:
    key = enrol.new_private_key().replace("\n", "\r\n")
    assert not errors(sign_in="key", private_key=key)


def test_secrets_of_another_way_to_reach_the_host_are_dropped() -> None:
    form = HostForm(SSH | {"password": "secret", "ca": "x"})
    form.is_valid()
    assert "password" not in form.cleaned_data


def test_a_name_is_taken_once_whatever_its_case() -> None:
    Host.objects.create(name="Alpha", transport="ssh")
    assert "name" in errors()


def added(**changes: Any) -> Host:
    form = HostForm(SSH | changes)
    assert form.is_valid(), form.errors
    anna = User.objects.create_user("anna", role="administrator")
    return enrol.add_host(actor=anna, data=form.cleaned_data)


def test_each_host_gets_a_key_of_its_own_encrypted_at_rest() -> None:
    host = added()
    host.refresh_from_db()
    private = load_secrets(host)["private_key"]
    assert load_ssh_private_key(private.encode(), None)
    assert "PRIVATE KEY" not in host.secrets
    assert enrol.public_key(host).startswith("ssh-ed25519 ")


def test_adding_and_removing_a_host_is_audited_without_its_secrets() -> None:
    host = added(sign_in="password", password="marker-of-a-secret")
    anna = User.objects.get()
    enrol.remove_host(actor=anna, host=host)
    assert set(AuditEntry.objects.values_list("action", flat=True)) == {"host.add", "host.remove"}
    assert "marker-of-a-secret" not in str(list(AuditEntry.objects.values()))
    assert not Host.objects.exists()
