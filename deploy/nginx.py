"""Renders nginx's configuration for this state folder, address and visitor-facing URL."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import urlsplit

from kvmweb import address, env

DIRECTIVES = ("USER", "REAL_IP")  # whole lines of configuration, made here
TEMPLATE = Path(__file__).with_name("nginx.conf.in")
SAFE = re.compile(r"[\w.~:/\[\]@+, -]*")  # nothing that means something to nginx inside quotes


def render(*, run: Path, log: Path, static: Path) -> str:
    """The configuration as text."""
    host, port = address.listen()
    public = urlsplit(address.public_url())
    proxies = address.trusted_proxies()
    real_ip = [f"set_real_ip_from {network};" for network in proxies]
    if proxies:
        real_ip += ["real_ip_header X-Forwarded-For;", "real_ip_recursive on;"]
    values = {
        "USER": "user root;" if os.geteuid() == 0 else "",
        "RUN": str(run),
        "LOG": str(log),
        "STATIC": str(static),
        "LISTEN": f"{address.bracketed(host)}:{port}",
        "PUBLIC_URL": public.geturl(),
        "PUBLIC_HOST": public.netloc,
        "PUBLIC_SCHEME": public.scheme,
        "SERVER_NAMES": " ".join(sorted({address.bracketed(str(public.hostname)), address.bracketed(host)})),
        "REAL_IP": " ".join(real_ip),
    }
    for name, value in values.items():
        if not SAFE.fullmatch(value.replace(";", "") if name in DIRECTIVES else value):
            raise env.SettingError(f"nginx can't be given this {name.lower()}: {value!r}")
    return re.sub(r"@([A-Z_]+)@", lambda match: values[match[1]], TEMPLATE.read_text(encoding="utf-8"))


def write(*, run: Path, log: Path, static: Path) -> Path:
    """Write the configuration and the folders it names; return its path."""
    for folder in (log, run / "nginx"):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = run / "nginx.conf"
    path.write_text(render(run=run, log=log, static=static), encoding="utf-8")
    return path
