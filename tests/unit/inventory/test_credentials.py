"""Credentials at rest, as files, and never in clear."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

from dashboard.hosts.enrol import new_private_key, public_key
from dashboard.inventory import credentials, sealing
from dashboard.inventory.models import Host
from dashboard.virt.errors import VirtError


@pytest.fixture(autouse=True)
def state(settings: Any, tmp_path: Path) -> Path:
    settings.HOST_FILES_DIR = tmp_path
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


def test_a_process_with_the_public_key_takes_credentials_in_and_reads_none(settings: Any) -> None:
    """As the web process of a hardened installation: it changes one of them and keeps the others, unread."""
    private = sealing.make_key()
    settings.HOST_KEYS, settings.HOST_PUBLIC_KEY = [], sealing.public_half(private)
    host = ssh()
    assert not {"secret", "KEY"} & set(host.secrets.split('"'))
    credentials.store_secrets(host, password="another")
    with pytest.raises(VirtError):
        credentials.load_secrets(host)
    settings.HOST_KEYS, settings.HOST_PUBLIC_KEY = [sealing.make_key(), private], ""
    assert credentials.load_secrets(host) == {"private_key": "KEY\r\nLINE\r\n", "password": "another"}


def test_the_public_half_of_an_ssh_key_is_known_without_the_private_one(settings: Any) -> None:
    settings.HOST_KEYS, settings.HOST_PUBLIC_KEY = [], sealing.public_half(sealing.make_key())
    host = Host(name="h", transport="ssh")
    credentials.store_secrets(host, private_key=new_private_key())
    assert public_key(host).startswith("ssh-ed25519 AAAA")
    assert public_key(host).endswith(" kvmweb-h")
    credentials.store_secrets(host, private_key="")
    assert public_key(host) == ""


def test_a_sealed_text_of_one_field_is_not_taken_for_another(settings: Any) -> None:
    host = ssh()
    kept = json.loads(host.secrets)
    kept["sealed"]["private_key"], kept["sealed"]["password"] = (
        kept["sealed"]["password"],
        kept["sealed"]["private_key"],
    )
    host.secrets = json.dumps(kept)
    with pytest.raises(VirtError):
        credentials.load_secrets(host)
    for spoilt in ("", "AAAA", "!" * 80, kept["sealed"]["password"][:-8] + "AAAAAAAA"):
        with pytest.raises(sealing.Unreadable):
            sealing.unseal([sealing.make_key()], spoilt, "password")


@pytest.mark.django_db
def test_what_earlier_versions_kept_is_read_changed_and_renewed(settings: Any) -> None:
    fernet = Fernet(settings.ENCRYPTION_KEYS[0])
    older = fernet.encrypt(json.dumps({"password": "old", "private_key": "K"}).encode()).decode()
    host = Host.objects.create(name="older", transport="tcp", address="192.0.2.1", secrets=older)
    assert credentials.load_secrets(host) == {"password": "old", "private_key": "K"}
    assert credentials.renew() == []
    host.refresh_from_db()
    assert host.secrets.startswith("{")
    assert credentials.load_secrets(host) == {"password": "old", "private_key": "K"}
    host.secrets = older
    credentials.store_secrets(host, password="new")
    assert credentials.load_secrets(host) == {"password": "new", "private_key": "K"}


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
