"""`manage.py create_admin`: an administrator for scripts; the password comes from a file, never from the command line."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from django.contrib.auth.validators import UnicodeUsernameValidator
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from dashboard.accounts.models import User
from dashboard.accounts.people import add_person
from dashboard.accounts.permissions import ADMINISTRATOR


class Command(BaseCommand):
    """Add an administrator."""

    help = "Add an administrator. The password is read from a file, or from standard input with --password-file -."

    def add_arguments(self, parser: CommandParser) -> None:
        """--username and --password-file."""
        parser.add_argument("--username", required=True)
        parser.add_argument("--password-file", required=True)

    def handle(self, *args: Any, **options: Any) -> None:
        """Add the administrator, or say what is wrong."""
        name, source = options["username"], options["password_file"]
        try:
            text = sys.stdin.read() if source == "-" else Path(source).read_text(encoding="utf-8")
        except OSError as error:
            raise CommandError(f"cannot read the password from {source}: {error.strerror}") from error
        if User.objects.filter(username__iexact=name).exists():
            raise CommandError(f"{name} exists already: choose another user name")
        try:
            UnicodeUsernameValidator()(name)
            add_person(actor=None, username=name, password=text.strip("\r\n"), role=ADMINISTRATOR)
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from error
        self.stdout.write(f"{name} may sign in now.")
