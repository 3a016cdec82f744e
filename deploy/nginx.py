"""Renders nginx's configuration for this state folder, address and visitor-facing URL."""

from __future__ import annotations

import os
import re
from ipaddress import ip_network
from pathlib import Path
from urllib.parse import urlsplit

from kvmweb import env

TEMPLATE = Path(__file__).with_name("nginx.conf.in")
SAFE = re.compile(r"[A-Za-z0-9._~:/\[\]@+ -]*")


def listen_address() -> tuple[str, int]:
    """Host and port of KVMWEB_LISTEN; a sentence that says what it takes otherwise."""
    try:
        parts = urlsplit(f"//{env.text('KVMWEB_LISTEN')}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or not port:
        raise env.SettingError("KVMWEB_LISTEN: give an address and a port, like 127.0.0.1:8000 or [::1]:8000")
    return host, port


def public_url() -> str:
    """The address that people type, without a slash at its end."""
    host, _port = listen_address()
    given = env.text("KVMWEB_PUBLIC_URL").rstrip("/")
    if not given and host in ("0.0.0.0", "::", "*"):  # noqa: S104 - compared, not listened on
        raise env.SettingError(
            f"KVMWEB_LISTEN={env.text('KVMWEB_LISTEN')} means every address of this machine: say in KVMWEB_PUBLIC_URL "
            "which one people type, like http://192.0.2.10:8000"
        )
    parts = urlsplit(given or f"http://{env.text('KVMWEB_LISTEN')}")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path or parts.query or parts.fragment:
        raise env.SettingError("KVMWEB_PUBLIC_URL: give http:// or https://, a name and perhaps a port, and no path")
    return f"{parts.scheme}://{parts.netloc}"


def trusted_proxies() -> list[str]:
    """The networks whose X-Forwarded-For is believed."""
    try:
        return [str(ip_network(part.strip())) for part in env.text("KVMWEB_TRUSTED_PROXIES").split(",") if part.strip()]
    except ValueError as error:
        raise env.SettingError(f"KVMWEB_TRUSTED_PROXIES: {error}") from error


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def render(*, run: Path, log: Path, static: Path) -> str:
    """The configuration as text."""
    host, port = listen_address()
    public = urlsplit(public_url())
    proxies = trusted_proxies()
    real_ip = [f"set_real_ip_from {network};" for network in proxies]
    if proxies:
        real_ip += ["real_ip_header X-Forwarded-For;", "real_ip_recursive on;"]
    values = {
        "USER": "user root;" if os.geteuid() == 0 else "",
        "RUN": str(run),
        "LOG": str(log),
        "STATIC": str(static),
        "LISTEN": f"{_bracketed(host)}:{port}",
        "PUBLIC_URL": public.geturl(),
        "PUBLIC_HOST": public.netloc,
        "PUBLIC_SCHEME": public.scheme,
        "SERVER_NAMES": " ".join(sorted({_bracketed(str(public.hostname)), _bracketed(host)})),
        "REAL_IP": " ".join(real_ip),
    }
    for name, value in values.items():
        if not SAFE.fullmatch(value.replace(";", "")):
            raise env.SettingError(f"nginx can't be given this {name.lower()}: {value!r}")
    return re.sub(r"@([A-Z_]+)@", lambda match: values[match[1]], TEMPLATE.read_text(encoding="utf-8"))


def write(*, run: Path, log: Path, static: Path) -> Path:
    """Write the configuration and the folders it names; return its path."""
    for folder in (log, run / "nginx"):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = run / "nginx.conf"
    path.write_text(render(run=run, log=log, static=static), encoding="utf-8")
    return path
