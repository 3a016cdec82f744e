"""Renders nginx's configuration for this state folder, address and visitor-facing URL: whole, or as a site among others."""

from __future__ import annotations

import os
import re
import textwrap
from pathlib import Path
from urllib.parse import urlsplit

from kvmweb import address, env

DIRECTIVES = ("REAL_IP", "LISTEN", "PLAIN_LISTEN", "REDIRECT", "TLS")  # lines of configuration, made of checked parts
HERE = Path(__file__).parent
SAFE = re.compile(r"[\w.~:/\[\]@+, -]*")  # nothing that means something to nginx inside quotes
TLS = """ssl_certificate "@CERTIFICATE@";
ssl_certificate_key "@KEY@";
ssl_protocols TLSv1.2 TLSv1.3;
ssl_ciphers ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305;
ssl_prefer_server_ciphers off;
ssl_session_cache shared:kvmweb:2m;
ssl_session_tickets off;"""
REDIRECT = """# http:// is sent on, but for what a certificate authority asks for.
server {
    @PLAIN_LISTEN@
    server_name @SERVER_NAMES@;
    server_tokens off;
    location ^~ /.well-known/acme-challenge/ {
        root /var/www/html;
        default_type text/plain;
    }
    location / {
        return 308 @PUBLIC_URL@$request_uri;
    }
}"""


def _listen(setting: str, *, secure: bool) -> str:
    """The directives for an address; one that means every address means IPv6, too."""
    host, port = address.listen(setting)
    end = " ssl http2;" if secure else ";"
    lines = [f"listen {address.bracketed(host)}:{port}{end}"]
    if host == "0.0.0.0":  # noqa: S104 - compared, not listened on
        lines.append(f"listen [::]:{port}{end}")
    return "\n".join(lines)


def _values() -> dict[str, str]:
    host, _port = address.listen()
    public, pair = urlsplit(address.public_url()), address.certificate()
    proxies = address.trusted_proxies()
    real_ip = [f"set_real_ip_from {network};" for network in proxies]
    if proxies:
        real_ip += ["real_ip_header X-Forwarded-For;", "real_ip_recursive on;"]
    certificate, key = pair or ("", "")
    plain = env.text("KVMWEB_REDIRECT_LISTEN")
    names = {address.bracketed(str(public.hostname)), address.bracketed(host)} - set(address.EVERY_ADDRESS) - {"[::]"}
    return {
        "CERTIFICATE": certificate,
        "KEY": key,
        "TLS": TLS if pair else "",
        "LISTEN": _listen("KVMWEB_LISTEN", secure=bool(pair)),
        "PLAIN_LISTEN": _listen("KVMWEB_REDIRECT_LISTEN", secure=False) if plain else "",
        "REDIRECT": REDIRECT if plain else "",
        "PUBLIC_URL": public.geturl(),
        "PUBLIC_HOST": public.netloc,
        "PUBLIC_SCHEME": public.scheme,
        "SERVER_NAMES": " ".join(sorted(names)),
        "REAL_IP": " ".join(real_ip),
    }


def fill(text: str, values: dict[str, str]) -> str:
    """The words between at signs, replaced; lines that stand for one keep its margin."""
    lines = re.compile(r"^( *)@([A-Z_]+)@$", re.MULTILINE)
    filled = lines.sub(lambda found: textwrap.indent(fill(values[found[2]], values), found[1]), text)
    return re.sub(r"@([A-Z_]+)@", lambda found: values[found[1]], filled)


def _template(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8").strip()


def render_site(*, run: Path, access_log: Path, static: Path) -> str:
    """kvmweb's servers as text, for an nginx that may have others, too."""
    values = _values() | {"RUN": str(run), "ACCESS_LOG": str(access_log), "STATIC": str(static)}
    for name, value in values.items():
        if name not in DIRECTIVES and not SAFE.fullmatch(value):
            raise env.SettingError(f"nginx can't be given this {name.lower()}: {value!r}")
    return fill(_template("nginx-site.conf.in"), values | {"SERVER": _template("nginx-server.conf.in")}) + "\n"


def render(*, run: Path, log: Path, static: Path) -> str:
    """The configuration of an nginx of our own as text."""
    site = render_site(run=run, access_log=log / "access.log", static=static)
    user = "user root;" if os.geteuid() == 0 else ""
    return fill(_template("nginx.conf.in"), {"USER": user, "RUN": str(run), "SITE": site.strip()}) + "\n"


def write(*, run: Path, log: Path, static: Path) -> Path:
    """Write the configuration and the folders it names; return its path."""
    for folder in (log, run / "nginx"):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = run / "nginx.conf"
    path.write_text(render(run=run, log=log, static=static), encoding="utf-8")
    return path
