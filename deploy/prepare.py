"""What must be done before the processes start, in one Django start: translations, migrations, static files.

`deploy/prepare.py files` leaves the database alone: installed under systemd, kvmweb-migrate.service looks after it.
`deploy/prepare.py translations` compiles those and nothing else: tests need no more.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))


def compile_messages(folder: Path) -> None:
    """Make a .mo beside each .po that is newer than it."""
    for source in folder.rglob("*.po"):
        target = source.with_suffix(".mo")
        if target.exists() and target.stat().st_mtime >= source.stat().st_mtime:
            continue
        subprocess.run(["msgfmt", "--check-format", "-o", str(target), str(source)], check=True)


def main() -> None:
    """Compile, migrate, collect."""
    compile_messages(ROOT / "dashboard")
    if sys.argv[1:] == ["translations"]:
        return
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "kvmweb.settings")
    import django
    from django.core.management import call_command

    django.setup()
    if sys.argv[1:] != ["files"]:
        call_command("migrate", interactive=False, verbosity=0)
    call_command("collectstatic", interactive=False, verbosity=0)


if __name__ == "__main__":
    main()
