"""What the audit log says that is no operation: its lasting codes, and the words with which people read them."""

from __future__ import annotations

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

EVENTS: dict[str, Promise] = {
    "session.start": _("Sign in"),
    "session.end": _("Sign out"),
    "person.add": _("Add person"),
    "person.change": _("Change person"),
    "quota.change": _("Set quota"),
    "host.add": _("Add host"),
    "host.approve_key": _("Approve host key"),
    "host.remove": _("Remove host"),
    "guest.owner": _("Set owner"),
    "guest.notes": _("Change notes"),
    "console.open": _("Open console"),
    "job.cancel": _("Cancel job"),
    "audit.export": _("Export audit log"),
}
"""An event of another kind is added here on purpose; tests hold that every code in use has its words."""
