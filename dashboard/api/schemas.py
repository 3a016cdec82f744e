"""The shapes of the API's answers: those of pages and live messages, typed for OpenAPI."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from ninja import Schema


class HostOut(Schema):
    """A host. Memory in KiB, times in milliseconds since 1970."""

    id: int
    name: str
    transport: str
    address: str
    enabled: bool
    status: str
    status_text: str
    status_detail: str
    last_seen: int | None
    connected_at: int | None
    generation: int
    hostname: str
    libvirt_version: str
    hypervisor_version: str
    cpu_model: str
    cpus: int
    memory_kib: int
    memory_free_kib: int
    kvm: bool | None


class GuestOut(Schema):
    """A virtual machine. `state` is "unknown" while its host is not live."""

    id: int
    uuid: UUID
    host: int
    host_name: str
    host_status: str
    last_seen: int | None
    name: str
    title: str
    state: str
    reason: str
    since: int | None
    vcpus: int
    memory_kib: int
    autostart: bool
    saved: bool
    persistent: bool
    tags: list[str]
    addresses: list[str]
    virt: str
    agent: bool
    display: str
    serial: bool
    io_error: bool


class PoolOut(Schema):
    """A storage pool. Sizes in bytes."""

    id: int
    uuid: UUID
    host: int
    host_name: str
    host_status: str
    name: str
    kind: str
    state: str
    persistent: bool
    autostart: bool
    capacity: int
    allocation: int
    available: int
    path: str


class NetworkOut(Schema):
    """A network; `active` is null while its host is not live."""

    id: int
    uuid: UUID
    host: int
    host_name: str
    host_status: str
    name: str
    active: bool | None
    persistent: bool
    autostart: bool
    forward: str
    bridge: str
    subnets: list[str]


class JobOut(Schema):
    """A job: one run of an operation. Times in milliseconds since 1970."""

    id: UUID
    operation: str
    label: str
    object_kind: str
    object_key: str
    object_name: str
    host: int | None
    host_name: str
    state: str
    state_label: str
    active: bool
    step: int
    steps: list[str]
    progress: float | None
    message: str
    error: str
    error_code: str
    error_detail: str
    leftovers: list[str]
    offer: dict[str, str] | None
    """The operation that a failed job proposes instead: operation, label, confirm."""
    virsh: str
    result: dict[str, Any]
    cancellable: bool
    cancel_requested: bool
    quiet: bool
    created_by: str
    created_at: int
    started_at: int | None
    finished_at: int | None
    url: str


class LineOut(Schema):
    """One line of a job's log; `at` is ISO 8601."""

    at: str
    level: str
    text: str


class JobDetail(JobOut):
    """A job with its log."""

    lines: list[LineOut]


class Hosts(Schema):
    """All hosts."""

    items: list[HostOut]


class Pools(Schema):
    """All storage pools."""

    items: list[PoolOut]


class Networks(Schema):
    """All networks."""

    items: list[NetworkOut]


class Page(Schema):
    """Where in a long list this is: 50 a page, pages from 1."""

    total: int
    page: int
    pages: int


class Guests(Page):
    """A page of virtual machines."""

    items: list[GuestOut]


class Jobs(Page):
    """A page of jobs, newest first."""

    items: list[JobOut]


class Problem(Schema):
    """What was wrong (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    errors: dict[str, list[str]] | None = None
    job: JobOut | None = None
