"""Settings are read from the environment, refuse nonsense with a sentence, and stand in the documentation."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kvmweb import address, env

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", True),
        ("yes", True),
        (" On ", True),
        ("TRUE", True),
        ("0", False),
        ("no", False),
        ("off", False),
        ("", False),
    ],
)
def test_a_yes_or_no_may_be_said_in_several_ways(monkeypatch: pytest.MonkeyPatch, text: str, value: bool) -> None:
    monkeypatch.setenv("KVMWEB_LOCAL_HOST", text)
    assert env.boolean("KVMWEB_LOCAL_HOST") is value


def test_a_yes_or_no_that_is_neither_names_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KVMWEB_DEBUG", "perhaps")
    with pytest.raises(env.SettingError, match="KVMWEB_DEBUG: 'perhaps'"):
        env.boolean("KVMWEB_DEBUG")


def test_a_number_that_is_none_names_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KVMWEB_WORKER_THREADS", "many")
    with pytest.raises(env.SettingError, match="KVMWEB_WORKER_THREADS: 'many'"):
        env.integer("KVMWEB_WORKER_THREADS")


def test_a_secret_may_come_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from the file\n")
    monkeypatch.setenv("KVMWEB_SECRET_KEY", "from the environment")
    monkeypatch.setenv("KVMWEB_SECRET_KEY_FILE", str(tmp_path / "key"))
    assert env.text("KVMWEB_SECRET_KEY") == "from the file"


def test_a_secret_whose_file_is_missing_is_not_silently_empty(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KVMWEB_SECRET_KEY_FILE", str(tmp_path / "nowhere"))
    with pytest.raises(env.SettingError, match="KVMWEB_SECRET_KEY_FILE: cannot read .*nowhere"):
        env.text("KVMWEB_SECRET_KEY")


def test_a_relative_folder_is_below_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KVMWEB_STATE_DIR", "elsewhere")
    assert env.path("KVMWEB_STATE_DIR") == ROOT / "elsewhere"
    monkeypatch.setenv("KVMWEB_STATE_DIR", "/srv/kvmweb")
    assert env.path("KVMWEB_STATE_DIR") == Path("/srv/kvmweb")


@pytest.mark.parametrize("text", ["8000", "127.0.0.1", ":8000", "127.0.0.1:http", "[::1:8000", "127.0.0.1:99999"])
def test_an_address_without_host_or_port_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("KVMWEB_LISTEN", text)
    with pytest.raises(env.SettingError, match=r"KVMWEB_LISTEN: give an address and a port"):
        address.listen()


@pytest.mark.parametrize(
    ("listen", "public", "url"),
    [
        ("127.0.0.1:8000", "", "http://127.0.0.1:8000"),
        ("[::1]:8000", "", "http://[::1]:8000"),
        ("127.0.0.1:80", "", "http://127.0.0.1"),
        ("0.0.0.0:8000", "http://192.0.2.10:8000/", "http://192.0.2.10:8000"),
        ("127.0.0.1:8000", "https://VM.example.org", "https://vm.example.org"),
        ("127.0.0.1:8000", "https://vm.example.org:443", "https://vm.example.org"),
        ("127.0.0.1:8000", "https://vm.example.org:8443", "https://vm.example.org:8443"),
    ],
)
def test_the_public_address_is_what_a_browser_sends_as_origin(
    monkeypatch: pytest.MonkeyPatch, listen: str, public: str, url: str
) -> None:
    monkeypatch.setenv("KVMWEB_LISTEN", listen)
    monkeypatch.setenv("KVMWEB_PUBLIC_URL", public)
    assert address.public_url() == url


@pytest.mark.parametrize(
    "public",
    ["vm.example.org", "ftp://vm.example.org", "https://", "https://vm.example.org/kvm", "https://a@b", "http://[x"],
)
def test_a_public_address_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, public: str) -> None:
    monkeypatch.setenv("KVMWEB_PUBLIC_URL", public)
    with pytest.raises(env.SettingError, match="KVMWEB_PUBLIC_URL: give http"):
        address.public_url()


def test_listening_everywhere_needs_the_address_that_people_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KVMWEB_LISTEN", "0.0.0.0:8000")
    monkeypatch.setenv("KVMWEB_PUBLIC_URL", "")
    with pytest.raises(env.SettingError, match="say in KVMWEB_PUBLIC_URL"):
        address.public_url()


def test_only_networks_can_be_trusted_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KVMWEB_TRUSTED_PROXIES", "127.0.0.1, 10.0.0.0/8")
    assert address.trusted_proxies() == ["127.0.0.1/32", "10.0.0.0/8"]
    monkeypatch.setenv("KVMWEB_TRUSTED_PROXIES", "127.0.0.1; return 200")
    with pytest.raises(env.SettingError, match="KVMWEB_TRUSTED_PROXIES"):
        address.trusted_proxies()


def test_the_table_in_the_documentation_is_the_list_in_the_code() -> None:
    rows = re.findall(
        r"^\| `(KVMWEB_\w+)` \| (\w+) \| (?:`(.*?)`)? \| (.*) \|$",
        (ROOT / "docs" / "settings.md").read_text(),
        re.MULTILINE,
    )
    assert rows == [(setting.name, setting.kind, setting.default, setting.help) for setting in env.SETTINGS.values()]


def test_every_setting_that_the_code_reads_is_declared() -> None:
    paths = [path for folder in ("kvmweb", "dashboard", "deploy") for path in (ROOT / folder).rglob("*.py")]
    read = {name for path in paths for name in re.findall(r'env\.\w+\("(KVMWEB_\w+)"\)', path.read_text())}
    assert read
    assert read <= set(env.SETTINGS)
