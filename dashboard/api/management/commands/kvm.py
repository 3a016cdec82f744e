"""`manage.py kvm …`: the command line of `kvmweb.cli`, which finds this installation by itself."""

from __future__ import annotations

import os
import sys
from urllib.parse import urlsplit

from django.conf import settings
from django.core.management.base import BaseCommand

from kvmweb.cli.main import main


class Command(BaseCommand):
    """Hands everything on as it is."""

    help = "Use the API from here: manage.py kvm help"

    def run_from_argv(self, argv: list[str]) -> None:
        """Run the command line over the web process's own socket."""
        own = f"unix:{settings.RUN_DIR}/web.sock?host={urlsplit(settings.PUBLIC_URL).netloc}"
        os.environ.setdefault("KVMWEB_URL", own)
        sys.exit(main(argv[2:]))
