"""Our own uses of ssh: a tunnel to a port of a host, and a look at the keys that a host shows."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from dashboard.virt.errors import VirtError
from dashboard.virt.uri import HostSpec, valid_address, valid_path, valid_port, valid_user

ASKPASS = Path(__file__).with_name("askpass")
CONNECT_SECONDS = 8
KEY_KINDS = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa")
"""Host keys worth approving, best first."""
_FORWARD = re.compile(r"(?:\[([0-9a-fA-F:.]+)\]|([^\[\]:]+)):([0-9]{1,5})", re.ASCII)


@dataclass(frozen=True)
class HostKey:
    """A key that a host showed. `line` is what a known_hosts file takes."""

    kind: str
    fingerprint_sha256: str
    line: str


def ssh_command(spec: HostSpec, options: dict[str, str], flags: list[str], command: list[str]) -> list[str]:
    """An ssh to the host that reads no configuration but ours and trusts no host key but the pinned ones.

    `command` is fixed text of ours. Raises ValueError on fields that may not stand in it.
    """
    if spec.transport != "ssh" or not (spec.key_file or spec.password) or not spec.known_hosts:
        raise ValueError("SSH needs a private key or a password, and an approved host key.")
    settings = {
        "ClearAllForwardings": "no",
        "ConnectTimeout": str(CONNECT_SECONDS),
        "ForwardAgent": "no",
        "ForwardX11": "no",
        "GlobalKnownHostsFile": "/dev/null",
        "IdentitiesOnly": "yes",
        "IdentityAgent": "none",
        "LogLevel": "ERROR",
        "NumberOfPasswordPrompts": "1",
        "PermitLocalCommand": "no",
        "ProxyCommand": "none",
        "ServerAliveCountMax": "3",
        "ServerAliveInterval": "4",
        "StrictHostKeyChecking": "yes",
        "UpdateHostKeys": "no",
        "UserKnownHostsFile": _quoted(valid_path(spec.known_hosts)),
    }
    argv = ["ssh", "-F", "/dev/null", "-T", "-a", "-x"]
    if spec.key_file:
        argv += ["-i", valid_path(spec.key_file)]
        settings |= {"BatchMode": "yes", "PreferredAuthentications": "publickey"}
    else:
        settings |= {"BatchMode": "no", "PreferredAuthentications": "password,keyboard-interactive"}
    for name, value in sorted((settings | options).items()):
        argv += ["-o", f"{name}={value}"]
    argv += ["-l", valid_user(spec.user), "-p", str(valid_port(spec.port or 22)), *flags]
    return [*argv, "--", valid_address(spec.address), *command]


def ssh_environment(spec: HostSpec, folder: Path) -> dict[str, str]:
    """The environment of such an ssh: where it signs in by password, our own answer to its question.

    The password waits in a file of mode 0600 in `folder`; never in the environment or in argv.
    """
    keep = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    if spec.key_file:
        return keep
    secret = folder / "password"
    secret.touch(mode=0o600)
    secret.write_text(spec.password + "\n", encoding="utf-8")
    return keep | {"SSH_ASKPASS": str(ASKPASS), "SSH_ASKPASS_REQUIRE": "force", "KVMWEB_ASKPASS_FILE": str(secret)}


def ssh_argv(spec: HostSpec, *, forward: str) -> list[str]:
    """The command whose stdin and stdout are a connection to `forward` ("host:port" or "[v6]:port") as the host sees it.

    It asks nothing and runs no other program. Further tunnels within a minute share the first one's connection.
    Raises ValueError on fields that may not stand in it.
    """
    if not spec.known_hosts:
        raise ValueError("SSH needs an approved host key.")
    shared = {"ControlMaster": "auto", "ControlPath": _control_path(spec), "ControlPersist": "60"}
    return ssh_command(spec, shared, ["-W", _valid_forward(forward)], [])


def _valid_forward(forward: str) -> str:
    match = _FORWARD.fullmatch(forward)
    if match is None:
        raise ValueError("A tunnel's end is an address and a port.")
    address = valid_address(match[1] or match[2])
    port = valid_port(int(match[3]))
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _quoted(path: str) -> str:
    """A path inside an ssh option: quoted against blanks, and a percent sign is no token."""
    escaped = path.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"'


def _control_path(spec: HostSpec) -> str:
    """A socket of our own per way to a host; short, since a UNIX socket's path may have 107 characters."""
    known = Path(spec.known_hosts)
    pinned = known.read_bytes() if known.exists() else b""  # another approved key: another connection
    way = "\0".join([spec.key, spec.address, str(spec.port), spec.user, spec.key_file]).encode() + pinned
    folder = Path(tempfile.gettempdir()) / f"kvmweb-ssh-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if status.st_uid != os.getuid() or status.st_mode & 0o077 or folder.is_symlink():
        raise VirtError("denied", f"{folder} belongs to somebody else")
    return _quoted(f"{folder}/{hashlib.sha256(way).hexdigest()[:20]}")


def scan_host_keys(address: str, port: int = 22, timeout: float = 5.0) -> list[HostKey]:
    """The keys that an SSH server shows, best kind first (ssh-keyscan). Nothing is trusted by looking.

    Raises VirtError unreachable if none came within `timeout` seconds, ValueError on an address that is none.
    """
    host, port = valid_address(address), valid_port(port)
    kinds = "ed25519,ecdsa,rsa"
    argv = ["ssh-keyscan", "-T", str(max(1, round(timeout))), "-p", str(port), "-t", kinds, "--", host]
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, timeout=timeout + 3, check=False, stdin=subprocess.DEVNULL
        )
    except FileNotFoundError as error:
        raise VirtError("internal", "the program ssh-keyscan is missing (package openssh-client)") from error
    except subprocess.TimeoutExpired as error:
        raise VirtError("unreachable", f"no SSH host key from {host} port {port} within {timeout:g} s") from error
    keys = [key for key in (_host_key(line, host, port) for line in done.stdout.splitlines()) if key]
    if not keys:
        raise VirtError("unreachable", _complaint(done.stderr) or f"no SSH host key from {host} port {port}")
    return sorted(keys, key=lambda key: KEY_KINDS.index(key.kind))


def _host_key(line: str, host: str, port: int) -> HostKey | None:
    """A line of ssh-keyscan, checked and written anew: what a server says goes into no file of ours as it came."""
    words = line.split()
    if len(words) != 3 or words[1] not in KEY_KINDS:
        return None
    try:
        blob = base64.b64decode(words[2], validate=True)
    except binascii.Error:
        return None
    name = host if port == 22 else f"[{host}]:{port}"
    digest = base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
    return HostKey(words[1], f"SHA256:{digest}", f"{name} {words[1]} {base64.b64encode(blob).decode()}")


def _complaint(text: str) -> str:
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return lines[-1] if lines else ""
