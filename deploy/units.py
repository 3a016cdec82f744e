"""Renders what an installation under systemd consists of: units, users, folders, nginx's site; deploy/install puts it in place.

.venv/bin/python deploy/units.py FOLDER     with the settings of the installation in the environment
"""

from __future__ import annotations

import grp
import os
import sys
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from deploy import nginx  # noqa: E402
from kvmweb import env  # noqa: E402

TEMPLATES = ROOT / "deploy" / "systemd"
ACCESS_LOG = Path("/var/log/nginx/kvmweb.access.log")
LIBVIRT = """# This machine's own guests: its libvirt (and polkit) lets in whom this group names.
m kvmweb-jobs    libvirt
m kvmweb-console libvirt"""


def database_is_far(url: str) -> bool:
    """Whether the database is reached over the network; a file or UNIX socket is not."""
    if not url:
        return False
    parts = urlsplit(url)
    host = dict(parse_qsl(parts.query)).get("host") or parts.hostname or ""
    return not host.startswith("/") and host != ""


def has_group(name: str) -> bool:
    """Whether this machine has the group."""
    try:
        grp.getgrnam(name)
    except KeyError:
        return False
    return True


def values() -> dict[str, str]:
    """What stands between at signs in the templates."""
    far = database_is_far(env.text("KVMWEB_DATABASE_URL"))
    local = env.boolean("KVMWEB_LOCAL_HOST") and has_group("libvirt")
    return {
        "ROOT": str(ROOT),
        "PROXY": os.environ.get("KVMWEB_PROXY_GROUP", "www-data"),
        "DATABASE_FAMILIES": "AF_UNIX AF_INET AF_INET6" if far else "AF_UNIX",
        "DATABASE_PRIVATE_NETWORK": "no" if far else "yes",
        "LIBVIRT": LIBVIRT if local else "",
    }


def render(folder: Path) -> None:
    """Write all of it into the folder, below the names that it has in /etc."""
    filled = values()
    for template in sorted(TEMPLATES.rglob("*")):
        if template.is_dir() or template.name == "redis.acl":
            continue
        name = template.relative_to(TEMPLATES)
        places = {"sysusers.conf": "sysusers.d/kvmweb.conf", "tmpfiles.conf": "tmpfiles.d/kvmweb.conf"}
        target = folder / places.get(str(name), f"systemd/system/{name}")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(nginx.fill(template.read_text(encoding="utf-8"), filled), encoding="utf-8")
    site = folder / "nginx" / "sites-available" / "kvmweb"
    site.parent.mkdir(parents=True)
    run, static = env.path("KVMWEB_RUN_DIR"), env.path("KVMWEB_STATIC_DIR")
    site.write_text(nginx.render_site(run=run, access_log=ACCESS_LOG, static=static), encoding="utf-8")


if __name__ == "__main__":
    render(Path(sys.argv[1]))
