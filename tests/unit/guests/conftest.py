"""A mirror to look at: hosts, guests, pools, networks, and people of each role."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import django
import pytest

django.setup()  # a conftest named on the command line is read before pytest-django has done so

from django.test import Client

from dashboard.accounts.models import User
from dashboard.inventory.models import Guest, Host, Network, Pool, Volume

MakeGuest = Callable[..., Guest]
FACTS: dict[str, Any] = {
    "virt": "qemu",
    "arch": "x86_64",
    "machine": "q35",
    "machine_full": "pc-q35-7.2",
    "firmware": "bios",
    "cpu": "default",
    "boot": ["hd", "cdrom"],
    "disks": [],
    "nics": [],
    "graphics": [{"kind": "vnc", "listen": "127.0.0.1", "port": 5900, "socket": ""}],
    "serials": [{"target": "serial0", "kind": "pty"}],
    "agent": True,
    "agent_connected": False,
    "video": "vga",
}


@pytest.fixture
def host(db: None) -> Host:
    return make_host("kvm1")


def make_host(name: str, **fields: Any) -> Host:
    facts = {"arch": "x86_64", "firmwares": ["bios", "efi"], "machines": ["q35"]}
    given: dict[str, Any] = {
        "transport": "local",
        "status": Host.Status.LIVE,
        "cpus": 4,
        "memory_kib": 8 * 1024 * 1024,
        "memory_free_kib": 4 * 1024 * 1024,
        "kvm": False,
        "facts": facts,
    }
    return Host.objects.create(name=name, **given | fields)


@pytest.fixture
def guest(host: Host) -> Guest:
    return make_guest(host, "web1")


def make_guest(host: Host, name: str, **fields: Any) -> Guest:
    tags = fields.pop("tags", [])
    facts = FACTS | fields.pop("facts", {})
    given: dict[str, Any] = {
        "uuid": uuid.uuid4(),
        "state": "shutoff",
        "vcpus": 2,
        "vcpus_max": 2,
        "memory_kib": 1024 * 1024,
        "memory_max_kib": 1024 * 1024,
        "tags": tags,
        "tags_text": f" {' '.join(tags)} " if tags else "",
        "facts": facts,
    }
    return Guest.objects.create(host=host, name=name, **given | fields)


@pytest.fixture
def pool(host: Host) -> Pool:
    gib = 1024**3
    return Pool.objects.create(
        host=host, uuid=uuid.uuid4(), name="default", kind="dir", state="running",
        capacity=100 * gib, allocation=40 * gib, available=60 * gib, path="/var/lib/libvirt/images",
    )  # fmt: skip


@pytest.fixture
def network(host: Host) -> Network:
    return Network.objects.create(host=host, uuid=uuid.uuid4(), name="default", active=True, forward="nat")


def make_volume(pool: Pool, name: str, **fields: Any) -> Volume:
    given = {"kind": "file", "format": "raw", "capacity": 1024**3, "allocation": 4096, "path": f"{pool.path}/{name}"}
    return Volume.objects.create(pool=pool, name=name, **given | fields)


def make_person(role: str) -> User:
    return User.objects.create_user(username=role, password="correct horse battery", role=role)


@pytest.fixture
def operator(db: None) -> User:
    return make_person("operator")


@pytest.fixture
def viewer(db: None) -> User:
    return make_person("viewer")


@pytest.fixture
def browser(operator: User) -> Iterator[Client]:
    """A signed-in operator's browser."""
    client = Client()
    client.force_login(operator)
    yield client


@pytest.fixture
def watcher(viewer: User) -> Iterator[Client]:
    """A signed-in viewer's browser."""
    client = Client()
    client.force_login(viewer)
    yield client


@pytest.fixture(autouse=True)
def plain_names_of_static_files(settings: Any) -> None:
    """Nothing has been collected here."""
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }
