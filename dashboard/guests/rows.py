"""What the list shows of a guest, ready for its template: fifty rows must cost milliseconds."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext

from dashboard.accounts.access import can
from dashboard.accounts.models import User
from dashboard.guests import queries
from dashboard.guests.queries import Filters, GuestPage
from dashboard.guests.tastes import COLUMNS, Column, Taste
from dashboard.guests.words import PRIMARY, reason_text, shown_state
from dashboard.inventory import metrics
from dashboard.inventory.models import Guest, Host
from dashboard.inventory.rows import guest_row
from dashboard.jobs.models import Job
from dashboard.jobs.operation import OPERATIONS
from dashboard.jobs.rows import label_of
from dashboard.live.formats import DASH, bytes_text, duration_text, face, percent_text, rate_text

Row = dict[str, Any]
SHOWN_TAGS = 4
NO_PRIMARY = {"operation": "guest.start", "label": "", "icon": "play"}


def meter(fraction: float | None, text: str) -> Row:
    """A bar as the template draws it."""
    share = min(max(fraction or 0, 0), 1)
    return {"width": f"{share * 100:.1f}%", "text": text, "level": "high" if share >= 0.9 else ""}


def newest(guest: Guest) -> list[Any] | None:
    """The newest figures of one guest, if it is on: those of its last run are no news."""
    if guest.state in ("shutoff", "unknown") or guest.host.status != Host.Status.LIVE:
        return None
    key = (guest.host_id, str(guest.uuid))
    return metrics.latest([key]).get(key)


def figures_of(sample: list[Any] | None, memory_kib: int) -> Row:
    """The newest figures of a guest in words and bars; dashes where there are none."""
    _t, cpu, used, memory, read, write, rx, tx = sample or [0, None, None, memory_kib, None, None, None, None]
    share = used / memory if used is not None and memory else None
    return {
        "cpu": meter(cpu, percent_text(cpu)),
        "memory": meter(share, DASH if used is None else bytes_text(used * 1024)),
        "read": rate_text(read),
        "write": rate_text(write),
        "rx": rate_text(rx),
        "tx": rate_text(tx),
    }


def list_row(guest: Guest, sample: list[Any] | None, job: Job | None, now: datetime) -> Row:
    """One row; `guest.host` is loaded."""
    row: Row = guest_row(guest)
    shown = shown_state(row["state"], saved=row["saved"])
    looks, started = face(shown), guest.started_at if row["since"] else None
    primary = PRIMARY.get(shown)
    busy, told = f"{label_of(job)}…" if job else "", reason_text(row["state"], row["reason"])
    row |= figures_of(sample, guest.memory_kib)
    row |= {
        "shown": shown,
        "face": {"label": looks.label, "shape": looks.shape, "tone": looks.tone},
        "busy": busy,
        "told": told,
        "note": busy or told,
        "memory_size": bytes_text(guest.memory_kib * 1024),
        "started": started,
        "uptime": duration_text(now - started) if started else DASH,
        "more_tags": max(0, len(guest.tags) - SHOWN_TAGS),
        "shown_tags": guest.tags[:SHOWN_TAGS],
        "primary": {"operation": primary[0], "label": primary[1], "icon": primary[2]} if primary else NO_PRIMARY,
        "idle": primary is None,
        "confirm": OPERATIONS[primary[0]].confirm if primary else "",
    }
    return row


def _follows(user: User, job: Job, guest: Guest) -> bool:
    """Whether the page will be told of the job's end: what nobody takes back must not be written into it."""
    declared = OPERATIONS.get(job.operation)
    quiet = declared is not None and declared.quiet
    return not quiet and (job.created_by_id == user.pk or can(user, "job.view", guest))


def list_rows(user: User, page: GuestPage, taste: Taste) -> list[Row]:
    """All rows of a page."""
    now, rows = timezone.now(), []
    pairs = [(guest.host_id, str(guest.uuid)) for guest in page.guests]
    owners = queries.owners_of(pairs) if "owner" in taste.columns else {}
    for guest, key in zip(page.guests, pairs, strict=True):
        job = page.busy.get(key)
        row = list_row(guest, page.figures.get(key), job if job and _follows(user, job, guest) else None, now)
        rights = {"may_power": can(user, "guest.power", guest), "sees_host": can(user, "host.view", guest.host)}
        rows.append(row | {"owner": owners.get(key, "")} | rights)
    return rows


def labels() -> dict[str, str]:
    """The words of heads and cells, translated once a page and not once a row."""
    return {
        "read": pgettext("rate", "read"),
        "write": pgettext("rate", "write"),
        "in": pgettext("rate", "in"),
        "out": pgettext("rate", "out"),
        "copy": _("Copy address"),
        "more": _("More"),
        "operations": _("Operations"),
        "select": _("Select"),
        "yes": _("Yes"),
    }


def columns(filters: Filters, taste: Taste) -> list[Row]:
    """The table's heads: each sorts by its column, the other way round when it does already."""
    key, down = filters.sort.removeprefix("-"), filters.sort.startswith("-")
    shown = {"name": Column(gettext_lazy("Name"), "name")} | {name: COLUMNS[name] for name in taste.columns}
    return [
        {
            "name": name,
            "style": f"g-{column.style or name}",
            "label": str(column.label),
            "href": filters.address(sort=f"-{column.sort}" if key == column.sort and not down else column.sort)
            if column.sort
            else "",
            "order": ("descending" if down else "ascending") if column.sort and key == column.sort else "",
        }
        for name, column in shown.items()
    ]
