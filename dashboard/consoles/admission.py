"""Who is let in to a console: Origin, session cookie, ticket and rights, the same for both console processes."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings
from django.http import parse_cookie

from dashboard.accounts.models import User
from dashboard.consoles import rights, tickets
from dashboard.consoles.refusals import GONE, TICKET, Refused
from dashboard.consoles.rights import Grant
from dashboard.consoles.tickets import Kind, Ticket
from dashboard.inventory.models import Guest


@dataclass(frozen=True)
class Admission:
    """A console that may be opened now."""

    ticket: Ticket
    grant: Grant
    user: User
    guest: Guest


def same_origin(origins: list[str]) -> bool:
    """Whether the request carries one Origin and it is exactly the public address. None, "null" or two: no."""
    return origins == [settings.PUBLIC_URL]


def admit(*, cookies: list[str], protocols: list[str], kind: Kind) -> Admission:
    """Redeem the ticket for the session of the cookie and look at the rights again. Refused says why not."""
    session_key = parse_cookie("; ".join(cookies)).get(settings.SESSION_COOKIE_NAME, "")
    token = tickets.token_of(",".join(protocols))
    if not token:
        raise Refused(TICKET, "none")
    ticket = tickets.redeem(token, session_key=session_key, kind=kind)
    grant = Grant(ticket.user, session_key, ticket.host, ticket.uuid, ticket.permission)
    why = rights.ended([grant]).get(grant)
    if why is not None:
        raise Refused(why)
    guest = Guest.objects.select_related("host").filter(host_id=ticket.host, uuid=ticket.uuid).first()
    if guest is None:
        raise Refused(GONE)
    return Admission(ticket, grant, User.objects.get(pk=ticket.user), guest)
