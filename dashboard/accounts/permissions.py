"""Every permission there is, where it can be granted, and the three built-in roles made of them."""

from __future__ import annotations

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

PERMISSIONS: dict[str, Promise] = {
    "host.view": _("See hosts and their capacity"),
    "host.manage": _("Add, change, check and remove hosts"),
    "guest.view": _("See virtual machines"),
    "guest.power": _("Start, stop, pause, save and restore virtual machines"),
    "guest.change": _("Rename, describe, tag and configure virtual machines"),
    "guest.create": _("Create virtual machines"),
    "guest.delete": _("Delete virtual machines and their disks"),
    "guest.console": _("Work on the screen and serial line of virtual machines"),
    "guest.watch": _("Watch the screen and serial line of virtual machines"),
    "storage.view": _("See storage pools and volumes"),
    "network.view": _("See virtual networks"),
    "job.view": _("See everybody's jobs on what one may see"),
    "people.manage": _("Add people, grant roles, set quotas, end sessions"),
    "metrics.view": _("Read the figures for Prometheus"),
    "audit.view": _("Read the audit log"),
}

ON_GUESTS = frozenset(name for name in PERMISSIONS if name.startswith("guest.")) - {"guest.create"} | {"job.view"}
"""What a grant on a tag or a guest can give: not to create, which is done on a host."""
ON_HOSTS = frozenset(PERMISSIONS) - {"people.manage", "audit.view"}
"""What a grant on a host can give: also what belongs to its guests, pools and networks."""

VIEWER = "viewer"
OPERATOR = "operator"
ADMINISTRATOR = "administrator"

_VIEW = frozenset({"host.view", "guest.view", "guest.watch", "storage.view", "network.view"})
_OPERATE = _VIEW | {"guest.power", "guest.change", "guest.create", "guest.delete", "guest.console", "job.view"}

ROLES: dict[str, frozenset[str]] = {
    VIEWER: _VIEW,
    OPERATOR: _OPERATE,
    ADMINISTRATOR: frozenset(PERMISSIONS),
}
ROLE_LABELS: dict[str, Promise] = {
    VIEWER: _("Viewer"),
    OPERATOR: _("Operator"),
    ADMINISTRATOR: _("Administrator"),
}
