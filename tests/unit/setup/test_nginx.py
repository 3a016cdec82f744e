"""nginx's configuration is made from the settings, and can't be told more by them."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy import nginx
from kvmweb import env


def render(folder: Path) -> str:
    return nginx.render(run=folder / "run", log=folder / "log", static=folder / "static")


def test_the_host_that_applications_see_is_always_the_public_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KVMWEB_PUBLIC_URL", "https://vm.example.org")
    text = render(tmp_path)
    assert "proxy_set_header Host vm.example.org;" in text
    assert "proxy_set_header X-Forwarded-Proto https;" in text
    assert "server_name 127.0.0.1 vm.example.org;" in text


def test_nobody_is_believed_about_whom_they_forward_for_unless_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert "set_real_ip_from" not in render(tmp_path)
    monkeypatch.setenv("KVMWEB_TRUSTED_PROXIES", "192.0.2.1")
    assert "set_real_ip_from 192.0.2.1/32; real_ip_header X-Forwarded-For;" in render(tmp_path)


def test_a_folder_with_spaces_or_letters_of_any_language_will_do(tmp_path: Path) -> None:
    assert 'proxy_pass "http://unix:' + str(tmp_path / "my 虚拟机" / "run") in render(tmp_path / "my 虚拟机")


@pytest.mark.parametrize("name", ['a"b', "a$b", "a;b", "a{b", "a\\b"])
def test_a_folder_whose_name_means_something_to_nginx_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(env.SettingError, match="nginx can't be given"):
        render(tmp_path / name)
