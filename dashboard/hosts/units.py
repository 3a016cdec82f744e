"""What systemd says of kvmweb's services, where deploy/install has made them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from django.conf import settings

UNITS = Path("/etc/systemd/system")
SERVICES = ("redis", "migrate", "web", "worker", "monitor", "console", "serial")


def there() -> bool:
    """Whether this is an installation under systemd: its sockets are not in the state folder, and it has units."""
    return settings.RUN_DIR.parent != settings.STATE_DIR and (UNITS / "kvmweb.target").exists()


def states() -> dict[str, str]:
    """Each service's state in systemd's word ("active", "failed", …); "unknown" where systemd cannot be asked."""
    names = [f"kvmweb-{name}.service" for name in SERVICES]
    program = shutil.which("systemctl")
    if program is None:
        return dict.fromkeys(names, "unknown")
    done = subprocess.run(
        [program, "is-active", *names],
        capture_output=True,
        text=True,
        timeout=10,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    words = done.stdout.split()
    return dict(zip(names, words if len(words) == len(names) else ["unknown"] * len(names), strict=True))


def running() -> bool:
    """Whether kvmweb is meant to run here: its web process does, or something keeps it from that."""
    return states()["kvmweb-web.service"] in ("active", "activating", "reloading", "failed")
