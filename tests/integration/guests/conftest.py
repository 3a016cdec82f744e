"""Operations as they run: a real libvirt host, the mirror read from it once per look, jobs run in this process."""

from __future__ import annotations

import threading
from typing import Any

import django
import pytest

django.setup()  # a conftest named on the command line is read before pytest-django has done so

from dashboard.accounts.models import User
from dashboard.inventory import store
from dashboard.inventory.credentials import spec_for
from dashboard.inventory.models import Guest, Host
from dashboard.jobs import service
from dashboard.jobs.models import Job
from dashboard.jobs.runner import run
from dashboard.virt import guests, networks, nodes, storage
from dashboard.virt.pool import borrow
from tests.lab.guests import LabGuest
from tests.lab.hosts import LabHost
from tests.lab.redis import RedisServer


class House:
    """One enrolled host, an operator, and what the host's own virsh says."""

    def __init__(self, lab_host: LabHost) -> None:
        self.lab = lab_host
        self.user = User.objects.create_user("olga", role="operator")
        self.host = Host.objects.create(
            name="h1", transport="local", address=lab_host.socket, status=Host.Status.LIVE, kvm=False
        )
        if "default" not in lab_host.virsh("pool-list", "--all", "--name").split():
            with borrow(spec_for(self.host)) as conn:
                storage.create_default_pool(conn)
        elif "default" not in lab_host.virsh("pool-list", "--name").split():
            lab_host.virsh("pool-start", "default")
        if "default" not in lab_host.virsh("net-list", "--name").split():
            lab_host.virsh("net-start", "default")
        self.look()

    def look(self) -> None:
        """What the monitor does at its full comparison."""
        with borrow(spec_for(self.host)) as conn:
            store.put_host(self.host, nodes.read_host(conn))
            store.compare_guests(self.host, guests.read_guests(conn))
            store.compare_pools(self.host, storage.read_pools(conn))
            store.compare_networks(self.host, networks.read_networks(conn))
        self.host.refresh_from_db()

    def refresh_pool(self, name: str = "default") -> None:
        self.lab.virsh("pool-refresh", name)
        self.look()

    def guest(self, of: LabGuest | str) -> Guest:
        """The guest as the mirror has it now."""
        self.look()
        return Guest.objects.select_related("host").get(host=self.host, uuid=of if isinstance(of, str) else of.uuid)

    def do(self, operation: str, target: Any = None, **params: Any) -> Job:
        """Submit an operation and run it to its end, here."""
        if isinstance(target, LabGuest):
            target = self.guest(target)
        return self.run(service.submit(user=self.user, operation=operation, target=target, params=params))

    def run(self, job: Job) -> Job:
        run(job.pk, threading.Event())
        job.refresh_from_db()
        return job

    def done(self, operation: str, target: Any = None, **params: Any) -> Job:
        """Run an operation that must succeed."""
        job = self.do(operation, target, **params)
        assert job.state == Job.State.SUCCEEDED, (
            job.error,
            job.error_detail,
            list(job.lines.values_list("text", flat=True)),
        )
        return job

    def state(self, guest: LabGuest | str) -> str:
        return self.lab.virsh("domstate", guest if isinstance(guest, str) else guest.uuid)

    def names(self) -> set[str]:
        return set(self.lab.virsh("list", "--all", "--name").split())

    def volumes(self, pool: str = "default") -> set[str]:
        self.lab.virsh("pool-refresh", pool)
        return {line.split()[0] for line in self.lab.virsh("vol-list", pool).splitlines() if line.strip()}


@pytest.fixture
def house(transactional_db: None, redis_server: RedisServer, lab_host: LabHost) -> House:
    return House(lab_host)
