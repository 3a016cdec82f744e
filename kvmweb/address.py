"""Where kvmweb listens, the address that people type, and which proxies are believed; checked in one place."""

from __future__ import annotations

import contextlib
from ipaddress import ip_network
from urllib.parse import SplitResult, urlsplit

from kvmweb import env

EVERY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104 - compared, not listened on


def bracketed(host: str) -> str:
    """The host as it stands in a URL: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host else host


def listen(setting: str = "KVMWEB_LISTEN") -> tuple[str, int]:
    """Host and port of KVMWEB_LISTEN."""
    try:
        parts = urlsplit(f"//{env.text(setting)}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or not port:
        raise env.SettingError(f"{setting}: give an address and a port, like 127.0.0.1:8000 or [::1]:8000")
    return host, port


def certificate() -> tuple[str, str] | None:
    """Files of the certificate and of its key, when nginx speaks https itself."""
    pair = env.text("KVMWEB_TLS_CERTIFICATE"), env.text("KVMWEB_TLS_KEY")
    if not any(pair):
        return None
    if not all(pair):
        raise env.SettingError("KVMWEB_TLS_CERTIFICATE and KVMWEB_TLS_KEY: give both or none")
    if not public_url().startswith("https://"):
        raise env.SettingError("KVMWEB_PUBLIC_URL: say https://… when there is a certificate")
    return str(env.path("KVMWEB_TLS_CERTIFICATE")), str(env.path("KVMWEB_TLS_KEY"))


def _port(parts: SplitResult) -> int | None:
    try:
        return parts.port
    except ValueError as error:
        raise env.SettingError(f"KVMWEB_PUBLIC_URL: {error}") from error


def public_url() -> str:
    """The address that people type, without a slash at its end; what a browser sends as its Origin."""
    host, port = listen()
    given = env.text("KVMWEB_PUBLIC_URL").rstrip("/")
    if not given and host in EVERY_ADDRESS:
        raise env.SettingError(
            f"KVMWEB_LISTEN={env.text('KVMWEB_LISTEN')} means every address of this machine: say in KVMWEB_PUBLIC_URL "
            f"which one people type, like http://192.0.2.10:{port}"
        )
    parts = urlsplit("")
    with contextlib.suppress(ValueError):  # brackets or a port that make no sense: stays empty, and is refused
        parts = urlsplit(given or f"http://{bracketed(host)}:{port}")
    name, number = parts.hostname, _port(parts)
    if (
        parts.scheme not in ("http", "https")
        or not name
        or parts.path
        or parts.query
        or parts.fragment
        or parts.username
    ):
        raise env.SettingError("KVMWEB_PUBLIC_URL: give http:// or https://, a name and perhaps a port, and no path")
    # A browser leaves out the port that goes without saying.
    default = 443 if parts.scheme == "https" else 80
    return f"{parts.scheme}://{bracketed(name)}" + (f":{number}" if number not in (None, default) else "")


def trusted_proxies() -> list[str]:
    """The networks whose X-Forwarded-For is believed."""
    try:
        return [str(ip_network(part.strip())) for part in env.text("KVMWEB_TRUSTED_PROXIES").split(",") if part.strip()]
    except ValueError as error:
        raise env.SettingError(f"KVMWEB_TRUSTED_PROXIES: {error}") from error
