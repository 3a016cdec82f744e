"""`manage.py issue_token`: an API token for a script, printed once and nothing else."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from dashboard.accounts import tokens
from dashboard.accounts.models import Role, User
from dashboard.accounts.permissions import ROLES


class Command(BaseCommand):
    """Make a token."""

    help = "Make an API token for somebody and print it; it is kept nowhere and shown only now."

    def add_arguments(self, parser: CommandParser) -> None:
        """Whose, its name, and how far and how long it reaches."""
        parser.add_argument("--username", required=True)
        parser.add_argument("--name", required=True, help="what will use it")
        parser.add_argument("--role", default="", help="at most what this role may; without it all that its owner may")
        parser.add_argument("--days", type=int, default=90, help="after which it ends; 0: never. Without it 90.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print it, or say what is wrong."""
        name, role, days = options["name"].strip(), options["role"], options["days"]
        owner = User.objects.filter(username=options["username"]).first()
        if owner is None:
            raise CommandError(f"there is nobody called {options['username']}")
        if not name or len(name) > 64:
            raise CommandError("--name takes a name of at most 64 characters")
        if role and role not in ROLES and not Role.objects.filter(slug=role).exists():
            raise CommandError(f"there is no role {role}")
        if days < 0:
            raise CommandError("--days takes a number of days, or 0 for no end")
        expires = timezone.now() + timedelta(days=days) if days else None
        try:
            _token, text = tokens.issue(owner, name, role, expires_at=expires)
        except tokens.TooMany as error:
            raise CommandError(f"{owner.username} has {tokens.MOST} tokens in force: revoke some first") from error
        self.stdout.write(text)
