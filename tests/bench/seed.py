"""In the state folder of a stack: signs an administrator in, fills the mirror, counts a page's queries.

python -m tests.bench.seed session | people COUNT | hosts FILE | rows FILE | fleet COUNT HOST_ID | queries SESSION PATH…
"""

from __future__ import annotations

import json
import random
import sys
import time
from pathlib import Path
from typing import Any

import django

from tests.bench import fleet
from tests.bench.measure import answer

NAME = "bench"


def session() -> str:
    """A session of an administrator, who is added if need be."""
    from dashboard.accounts.models import User
    from dashboard.accounts.people import add_person

    person = User.objects.filter(username=NAME).first()
    return session_of(
        person or add_person(actor=None, username=NAME, password="four quiet words here", role="administrator")
    )


def session_of(person: Any) -> str:
    """A session of somebody, as signing in makes it."""
    from importlib import import_module

    from django.conf import settings
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY

    store = import_module(settings.SESSION_ENGINE).SessionStore()
    store[SESSION_KEY] = str(person.pk)
    store[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
    store[HASH_SESSION_KEY] = person.get_session_auth_hash()
    store.save()
    return str(store.session_key)


def people(count: int) -> list[str]:
    """Sessions of that many people who may look at everything and have no password."""
    from dashboard.accounts.models import User

    return [session_of(User.objects.create_user(f"visitor{number}", role="viewer")) for number in range(count)]


def hosts(wanted: list[dict[str, Any]]) -> dict[str, int]:
    """Enrol hosts as the page does, with their approved keys; their numbers by name."""
    from dashboard.accounts.models import User
    from dashboard.hosts.enrol import add_host, approve_host_keys

    actor, numbers = User.objects.get(username=NAME), {}
    for fields in wanted:
        keys = fields.pop("host_keys", [])
        host = add_host(actor=actor, data=fields)
        if keys:
            approve_host_keys(actor=actor, host=host, lines=keys)
        numbers[host.name] = host.pk
    return numbers


def rows(wanted: list[dict[str, Any]]) -> int:
    """Hosts by the hundred, as rows of the table; the monitor finds them at its next look."""
    from dashboard.inventory.models import Host

    return len(Host.objects.bulk_create([Host(**fields) for fields in wanted]))


def fill(count: int, host_id: int) -> int:
    """The mirror of one host with that many guests, as the monitor writes it, addresses and figures too; bytes of XML."""
    from dashboard.inventory import bus, metrics, store
    from dashboard.inventory.models import Host

    now = int(time.time() * 1000)
    host = Host.objects.create(pk=host_id, name=f"host{host_id}", transport="test", status=Host.Status.LIVE, cpus=64)
    told = list(fleet.facts(count))
    store.compare_guests(host, told)
    some = random.Random(11)
    running = [one for one in told if one.state == "running"]
    address = {"prefix": 24, "mac": "52:54:00:00:00:01", "source": "agent"}
    store.put_addresses(host, {one.uuid: [{"ip": f"192.0.2.{some.randrange(1, 250)}", **address}] for one in running})
    figures: dict[str, list[Any]] = {
        one.uuid: [now, some.random(), some.randrange(4194304), 4194304, *(some.randrange(10**7) for _ in range(4))]
        for one in running
    }
    metrics.record(host_id, now, figures, [], tell=False)
    bus.client().set(bus.HEARTBEAT, str(now + 3_600_000))  # no monitor runs beside this page
    return sum(len(one.xml) for one in told) // max(1, count)


def queries(key: str, paths: list[str]) -> dict[str, int]:
    """SQL queries of each page, the session's and the person's too."""
    from django.conf import settings
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    host = settings.PUBLIC_URL.partition("://")[2]
    browser = Client(SERVER_NAME=host.partition(":")[0], SERVER_PORT=host.partition(":")[2] or "80")
    browser.cookies[settings.SESSION_COOKIE_NAME] = key
    found = {}
    for path in paths:
        browser.get(path)
        with CaptureQueriesContext(connection) as caught:
            assert browser.get(path).status_code == 200, path
        found[path] = len(caught)
    return found


def main() -> None:
    """One command, one line of JSON."""
    django.setup()
    what, *more = sys.argv[1:]
    if what == "session":
        answer(session())
    elif what == "people":
        answer(people(int(more[0])))
    elif what == "hosts":
        answer(hosts(json.loads(Path(more[0]).read_text(encoding="utf-8"))))
    elif what == "rows":
        answer(rows(json.loads(Path(more[0]).read_text(encoding="utf-8"))))
    elif what == "fleet":
        answer(fill(int(more[0]), int(more[1])))
    elif what == "queries":
        answer(queries(more[0], more[1:]))


if __name__ == "__main__":
    main()
