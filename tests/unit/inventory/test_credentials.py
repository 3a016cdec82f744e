"""Credentials at rest, as files, and never in clear."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

from dashboard.inventory import credentials
from dashboard.inventory.models import Host
from dashboard.virt.errors import VirtError


@pytest.fixture(autouse=True)
def state(settings: Any, tmp_path: Path) -> Path:
    settings.STATE_DIR = tmp_path
    return tmp_path


def ssh() -> Host:
    host = Host(
        pk=7, name="h", transport="ssh", address="192.0.2.1", user="root", host_keys="192.0.2.1 ssh-ed25519 AAAA"
    )
    credentials.store_secrets(host, private_key="KEY\r\nLINE\r\n", password="secret")
    return host


def test_secrets_are_encrypted_merged_and_removed() -> None:
    host = ssh()
    assert "secret" not in host.secrets
    credentials.store_secrets(host, password="")
    assert credentials.load_secrets(host) == {"private_key": "KEY\r\nLINE\r\n"}
    credentials.store_secrets(host, private_key="")
    assert host.secrets == ""
    with pytest.raises(KeyError):
        credentials.store_secrets(host, passwd="x")


def test_keys_rotate_and_a_lost_key_is_said_plainly(settings: Any) -> None:
    host, old = ssh(), settings.ENCRYPTION_KEYS
    settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode(), *old]
    credentials.reencrypt(host)
    settings.ENCRYPTION_KEYS = settings.ENCRYPTION_KEYS[:1]
    assert credentials.load_secrets(host)["password"] == "secret"
    settings.ENCRYPTION_KEYS = old
    with pytest.raises(VirtError) as told:
        credentials.load_secrets(host)
    assert told.value.code == "auth"


def test_files_are_private_and_complete(state: Path) -> None:
    spec = credentials.spec_for(ssh())
    assert Path(spec.key_file).read_text() == "KEY\nLINE\n"
    assert Path(spec.known_hosts).read_text() == "192.0.2.1 ssh-ed25519 AAAA\n"
    for path in state.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path
    assert "secret" not in repr(spec)


def test_other_credentials_make_another_spec_and_older_files_go(state: Path) -> None:
    host = ssh()
    before = credentials.spec_for(host)
    assert credentials.spec_for(host) == before
    credentials.store_secrets(host, private_key="OTHER")
    after = credentials.spec_for(host)
    assert after != before
    assert after.key == before.key
    assert not Path(before.key_file).exists()
    credentials.remove_files(7)
    assert not list(state.rglob("*"))[1:]


def test_an_ssh_host_without_approved_key_has_no_spec() -> None:
    host = ssh()
    host.host_keys = " \n"
    with pytest.raises(VirtError) as told:
        credentials.spec_for(host)
    assert told.value.code == "host_key"


def test_local_and_test_hosts_need_no_files(settings: Any, state: Path) -> None:
    settings.LIBVIRT_SOCKET = "/run/other"
    assert credentials.spec_for(Host(pk=1, transport="local")).socket == "/run/other"
    assert credentials.spec_for(Host(pk=1, transport="local", address="/run/x")).socket == "/run/x"
    assert credentials.spec_for(Host(pk=1, transport="test")).address == ""
    assert not (state / "hosts").exists()


def test_certificates_have_the_names_that_libvirt_wants() -> None:
    host = Host(pk=8, transport="tls", address="h.example")
    credentials.store_secrets(host, ca="CA", client_cert="CERT", client_key="KEY")
    place = Path(credentials.spec_for(host).pki_dir)
    assert {path.name: path.read_text() for path in place.iterdir()} == {
        "cacert.pem": "CA\n",
        "clientcert.pem": "CERT\n",
        "clientkey.pem": "KEY\n",
    }
