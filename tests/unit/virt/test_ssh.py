"""URI-2: our own ssh is an argv list in which no field can become an option, a command or a configuration."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from dashboard.virt.ssh import _host_key, scan_host_keys, ssh_argv
from dashboard.virt.uri import HostSpec
from tests.unit.virt.test_uri import HOSTILE

FAKE_SSH = """#!/usr/bin/env python3
import json, os, sys
open(os.environ["ARGV_LOG"], "a").write(json.dumps(sys.argv) + "\\n")
"""


@pytest.fixture
def logged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file in which a fake ssh, first on PATH, notes what it is called with."""
    program = tmp_path / "bin" / "ssh"
    program.parent.mkdir()
    program.write_text(FAKE_SSH)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    monkeypatch.setenv("ARGV_LOG", str(tmp_path / "log"))
    return tmp_path / "log"


def spec(address: str = "host.example", **changes: object) -> HostSpec:
    fields: dict[str, object] = {"user": "root", "key_file": "/keys/k", "known_hosts": "/keys/known hosts"}
    return HostSpec("k", "ssh", address, **(fields | changes))  # type: ignore[arg-type]


def call(logged: Path, one: HostSpec, forward: str) -> list[str]:
    subprocess.run(ssh_argv(one, forward=forward), check=True, timeout=20)
    argv: list[str] = json.loads(logged.read_text().splitlines()[-1])
    return argv


@pytest.mark.parametrize("address", ["host.example", "10.0.0.1", "[::1]", "xn--bcher-kva.example"])
def test_the_host_stands_alone_behind_the_options(logged: Path, address: str) -> None:
    argv = call(logged, spec(address, port=2222), "127.0.0.1:5900")
    assert argv[-2:] == ["--", address.strip("[]")]
    assert argv[1:3] == ["-F", "/dev/null"]
    options = {
        argv[at + 1].split("=", 1)[0]: argv[at + 1].split("=", 1)[1] for at, word in enumerate(argv) if word == "-o"
    }
    wanted = {
        "BatchMode": "yes", "ProxyCommand": "none", "PermitLocalCommand": "no", "StrictHostKeyChecking": "yes",
        "GlobalKnownHostsFile": "/dev/null", "UserKnownHostsFile": '"/keys/known hosts"', "IdentitiesOnly": "yes",
    }  # fmt: skip
    assert wanted.items() <= options.items()
    assert argv[argv.index("-W") + 1] == "127.0.0.1:5900"
    assert argv[argv.index("-p") + 1] == "2222"


@pytest.mark.parametrize("address", HOSTILE)
def test_a_hostile_host_never_reaches_ssh(logged: Path, address: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        ssh_argv(spec(address), forward="127.0.0.1:5900")
    with pytest.raises(ValueError, match=r"."):
        scan_host_keys(address)
    assert not logged.exists()


@pytest.mark.parametrize(
    "forward",
    ["", "x", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:99999", "-oX:1", "a b:1", "::1:5900", "a:1\n", "a:1:b:2"],
)
def test_a_hostile_target_is_refused(forward: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        ssh_argv(spec(), forward=forward)


def test_a_host_without_pinned_key_gets_no_tunnel() -> None:
    for missing in ({"known_hosts": ""}, {"key_file": ""}):
        with pytest.raises(ValueError, match="needs"):
            ssh_argv(spec(**missing), forward="127.0.0.1:5900")


def test_another_pinned_key_is_another_connection(tmp_path: Path) -> None:
    known = tmp_path / "known_hosts"
    known.write_text("h ssh-ed25519 AAAA\n")
    before = ssh_argv(spec(known_hosts=str(known)), forward="127.0.0.1:1")
    assert before == ssh_argv(spec(known_hosts=str(known)), forward="127.0.0.1:1")
    known.write_text("h ssh-ed25519 BBBB\n")
    assert before != ssh_argv(spec(known_hosts=str(known)), forward="127.0.0.1:1")


def test_what_a_server_says_is_written_anew() -> None:
    key = _host_key(
        "evil-name ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGoPveo4BfPGLcgYEU3dcHtEIyFspIv/yxnP3g0IcDc2", "h.example", 2222
    )
    assert key is not None
    assert key.line.startswith("[h.example]:2222 ssh-ed25519 AAAA")
    assert key.fingerprint_sha256 == "SHA256:eF4qECTl2f06B4Aijip8EPz5e97dsPRFKkZIx/jscKY"
    for line in ("h ssh-dss AAAA", "h ssh-ed25519 not*base64", "h ssh-ed25519 AAAA extra", "# comment", ""):
        assert _host_key(line, "h", 22) is None
