"""What the tabs of one guest's page show, from the mirror alone."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from dashboard.accounts.access import can
from dashboard.accounts.models import User
from dashboard.guests import actions
from dashboard.guests.disks import disks_of
from dashboard.guests.forms import NotesForm
from dashboard.guests.markup import coloured_xml, markdown
from dashboard.guests.models import GuestNotes
from dashboard.guests.rows import figures_of, newest
from dashboard.guests.words import for_scripts, reason_text, shown_state
from dashboard.inventory import metrics
from dashboard.inventory.models import Guest, Host
from dashboard.inventory.rows import guest_row

Context = dict[str, Any]

TABS: tuple[tuple[str, Promise, str, str], ...] = (
    ("overview", _("Overview"), "info", "guest.view"),
    ("performance", _("Performance"), "chart-line", "guest.view"),
    ("console", _("Screen"), "monitor", "guest.watch"),
    ("serial", _("Serial line"), "terminal", "guest.watch"),
    ("xml", _("XML"), "file-code", "guest.view"),
    ("jobs", _("Jobs"), "list-checks", "guest.view"),
    ("notes", _("Notes"), "notebook-pen", "guest.view"),
)
BOOT: dict[str, Promise] = {
    "hd": _("disk"),
    "cdrom": _("CD-ROM"),
    "network": _("network"),
    "fd": _("floppy disk"),
}
NIC_KINDS: dict[str, Promise] = {
    "network": _("network"),
    "bridge": _("bridge"),
    "direct": _("directly on the host's card"),
    "user": _("user network"),
}
ADDRESS_SOURCES: dict[str, Promise] = {
    "agent": _("from the guest agent"),
    "lease": _("from the network's DHCP"),
    "arp": _("from the host's ARP table"),
}
FIRMWARE: dict[str, Promise] = {
    "bios": _("BIOS"),
    "efi": _("UEFI"),
    "efi-secure": _("UEFI with Secure Boot"),
}
DEVICES: dict[str, Promise] = {
    "disk": _("Disk"),
    "cdrom": _("CD-ROM"),
    "floppy": _("Floppy disk"),
    "lun": _("SCSI LUN"),
}
TABLE_ROWS = 20


def frame(user: User, guest: Guest, tab: str) -> Context:
    """What every tab shows around its content: name, state, buttons, tabs."""
    row = guest_row(guest)
    here = f"?host={guest.host_id}"
    return {
        "guest": guest,
        "row": row,
        "tab": tab,
        "shown": shown_state(row["state"], saved=guest.saved),
        "reason_text": reason_text(row["state"], row["reason"]),
        "host_live": guest.host.status == Host.Status.LIVE,
        "buttons": actions.main_buttons(user, guest),
        "may_change": can(user, "guest.change", guest),
        "words": for_scripts(),
        "tabs": [
            {"name": name, "label": label, "icon": icon, "href": reverse(f"guests:{name}", args=[guest.uuid]) + here}
            for name, label, icon, permission in TABS
            if can(user, permission, guest)
        ],
    }


def overview(guest: Guest) -> Context:
    """Hardware, disks with sizes, network cards with the addresses that belong to their MACs."""
    facts = guest.facts
    return {
        "figures": figures_of(newest(guest), guest.memory_kib),
        "disks": disks_of(guest),
        "devices": DEVICES,
        "nics": nics_of(guest),
        "boot": [BOOT.get(device, device) for device in facts.get("boot") or []],
        "firmware": FIRMWARE.get(facts.get("firmware", ""), facts.get("firmware", "")),
        "emulated": facts.get("virt") == "qemu",
    }


def nics_of(guest: Guest) -> list[Context]:
    """Each network card with its addresses; addresses of no known card stand on a line of their own."""
    left = [{**one, "source": ADDRESS_SOURCES.get(one.get("source", ""), "")} for one in guest.addresses]
    cards = []
    for nic in guest.facts.get("nics") or []:
        mac = (nic.get("mac") or "").lower()
        own = [address for address in left if mac and (address.get("mac") or "").lower() == mac]
        left = [address for address in left if address not in own]
        cards.append({**nic, "kind": NIC_KINDS.get(nic.get("kind", ""), nic.get("kind", "")), "addresses": own})
    if left:
        cards.append({"mac": "", "kind": "", "source": "", "model": "", "target": "", "addresses": left})
    return cards


def performance(guest: Guest) -> Context:
    """The samples for the charts, and the newest of them for the table."""
    samples = metrics.history(guest.host_id, str(guest.uuid))
    table = []
    for sample in reversed(samples[-TABLE_ROWS:]):
        at = datetime.fromtimestamp(sample[0] / 1000, UTC)
        table.append({"at": at, **figures_of(sample, guest.memory_kib)})
    return {"samples": samples, "table": table, "table_rows": TABLE_ROWS}


def xml(guest: Guest) -> Context:
    """The definition in coloured words."""
    return {"words_of_xml": coloured_xml(guest.xml)}


def notes(guest: Guest) -> Context:
    """The notes as HTML, and the form to change them."""
    found = GuestNotes.objects.filter(guest=guest).first()
    text = found.text if found else ""
    return {"notes": found, "html": markdown(text), "form": NotesForm(initial={"text": text})}


def dialog(user: User, guest: Guest, name: str) -> Context:
    """What a dialog needs beside the guest."""
    return {"disks": disks_of(guest, user)} if name == "delete" else {}
