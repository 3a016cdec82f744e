"""What the audit log says that is no operation: its lasting codes, and the words with which people read them."""

from __future__ import annotations

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

EVENTS: dict[str, Promise] = {
    "session.start": _("Sign in"),
    "session.end": _("Sign out"),
    "password.link": _("Make link for a new password"),
    "password.set": _("Set password"),
    "second_factor.add": _("Add second factor"),
    "second_factor.codes": _("Look at recovery codes"),
    "second_factor.remove": _("Remove second factor"),
    "second_factor.reset": _("Take second factor away"),
    "token.issue": _("Issue API token"),
    "token.revoke": _("Revoke API token"),
    "person.add": _("Add person"),
    "person.change": _("Change person"),
    "person.sign_out": _("End all sessions"),
    "group.add": _("Add group"),
    "group.join": _("Add member"),
    "group.leave": _("Take member out"),
    "group.remove": _("Delete group"),
    "role.add": _("Add role"),
    "role.change": _("Change role"),
    "role.remove": _("Delete role"),
    "role.second_factor": _("Demand second factor by role"),
    "grant.add": _("Grant role"),
    "grant.remove": _("Take grant away"),
    "quota.change": _("Set quota"),
    "host.add": _("Add host"),
    "host.approve_key": _("Approve host key"),
    "host.remove": _("Remove host"),
    "guest.owner": _("Set owner"),
    "guest.notes": _("Change notes"),
    "console.open": _("Open console"),
    "job.cancel": _("Cancel job"),
    "kvmweb.restore": _("Restore kvmweb from a backup"),
    "kvmweb.renew_keys": _("Make new keys for stored secrets"),
    "audit.export": _("Export audit log"),
}
"""An event of another kind is added here on purpose; a test holds that every code in use has its words."""
