"""Enrolling this machine as a host by itself, the first time its libvirt answers."""

from __future__ import annotations

import logging
import socket
from contextlib import suppress

from django.conf import settings
from django.db import DatabaseError, IntegrityError

from dashboard.inventory.models import Host, Transport
from dashboard.virt import nodes
from dashboard.virt.connection import open_connection
from dashboard.virt.errors import VirtError
from dashboard.virt.uri import HostSpec

log = logging.getLogger(__name__)


def enrol_this_machine() -> bool:
    """Add the local host if it is wanted, not there, and answers. False: worth trying again later."""
    if not settings.LOCAL_HOST:
        return True
    try:
        if Host.objects.filter(transport=Transport.LOCAL).exists():
            return True
        name = _hostname()
        if name is None:
            return False
        Host.objects.create(name=_free(name), transport=Transport.LOCAL)
    except IntegrityError:
        return False  # somebody took the name this very moment
    except DatabaseError as error:
        log.warning("This machine is not enrolled yet: %s", error)
        return False
    log.info("This machine is enrolled as a host")
    return True


def _hostname() -> str | None:
    """What libvirt here calls its machine; None if it does not answer."""
    try:
        connection = open_connection(HostSpec(key="enrol", transport="local", socket=settings.LIBVIRT_SOCKET))
    except VirtError as error:
        log.debug("libvirt of this machine does not answer: %s", error)
        return None
    try:
        with suppress(VirtError):
            return nodes.read_host(connection.conn).hostname or socket.gethostname()
        return socket.gethostname()
    finally:
        connection.close()


def _free(name: str) -> str:
    """The name, short enough and not taken."""
    base = name.split(".")[0][:50] or "localhost"
    taken = set(Host.objects.filter(name__startswith=base).values_list("name", flat=True))
    return next(one for one in [base, *(f"{base}-{number}" for number in range(2, 1000))] if one not in taken)
