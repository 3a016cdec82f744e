"""The shapes of the API's answers: those of pages and live messages, typed for OpenAPI."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from ninja import Schema as Plain
from pydantic import ConfigDict


class Schema(Plain):
    """A shape whose members are described by the texts below them."""

    model_config = ConfigDict(use_attribute_docstrings=True)


class HostOut(Schema):
    """A host. Memory in KiB, times in milliseconds since 1970."""

    id: int
    name: str
    transport: str
    address: str
    enabled: bool
    status: str
    """new, connecting, live, down, untrusted or disabled; only live is a fresh picture."""
    status_text: str
    """Why it is not live."""
    status_detail: str
    """libvirt's own words for it."""
    last_seen: int | None
    connected_at: int | None
    generation: int
    """Grows with every full comparison."""
    hostname: str
    libvirt_version: str
    hypervisor_version: str
    cpu_model: str
    cpus: int
    memory_kib: int
    memory_free_kib: int
    kvm: bool | None
    """Whether hardware virtualisation works there; null: not known."""


class GuestOut(Schema):
    """A virtual machine. `state` is "unknown" while its host is not live."""

    id: int
    uuid: UUID
    host: int
    """Its host's id."""
    host_name: str
    host_status: str
    last_seen: int | None
    name: str
    title: str
    state: str
    """running, paused, shutoff, stopping, crashed, suspended or unknown."""
    reason: str
    since: int | None
    """When it was started."""
    vcpus: int
    memory_kib: int
    autostart: bool
    saved: bool
    """Has a saved state: the next start restores it."""
    persistent: bool
    """False: it is gone once it stops."""
    tags: list[str]
    addresses: list[str]
    virt: str
    """kvm, or qemu for emulation."""
    agent: bool
    """Whether the guest agent answers."""
    display: str
    """vnc, spice or empty."""
    serial: bool
    """Whether it has a serial line."""
    io_error: bool
    """Whether a disk is in trouble."""
    os: str


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
    """nat, route, open, bridge, …; empty: isolated."""
    bridge: str
    subnets: list[str]


class JobOut(Schema):
    """A job: one run of an operation. Times in milliseconds since 1970."""

    id: UUID
    operation: str
    label: str
    object_kind: str
    object_key: str
    """A virtual machine's, pool's or network's UUID; a host's id."""
    object_name: str
    host: int | None
    host_name: str
    state: str
    """queued, running, undoing; at the end succeeded, failed, cancelled or needs_attention."""
    state_label: str
    active: bool
    """Whether it goes on."""
    step: int
    """Index of the step that runs or runs next."""
    steps: list[str]
    progress: float | None
    """0 to 1; null: not known."""
    message: str
    error: str
    """Why it failed and what to do, in your language."""
    error_code: str
    """A stable word for why it failed."""
    error_detail: str
    """libvirt's own words."""
    leftovers: list[str]
    """What could not be undone."""
    offer: dict[str, str] | None
    """The operation that a failed job proposes instead: operation, label, confirm."""
    virsh: str
    """The equivalent command lines."""
    result: dict[str, Any]
    """What it found or made."""
    parent: UUID | None
    """The job for many objects that it belongs to."""
    children: dict[str, int] | None
    """Of a job for many: how many there are in each state."""
    cancellable: bool
    """Whether a cancel now would be honoured."""
    cancel_requested: bool
    quiet: bool
    created_by: str
    created_at: int
    started_at: int | None
    finished_at: int | None
    url: str
    """Its page."""


class LineOut(Schema):
    """One line of a job's log; `at` is ISO 8601."""

    at: str
    level: str
    text: str


class JobDetail(JobOut):
    """A job with its log."""

    lines: list[LineOut]


class VolumeOut(Schema):
    """A volume of a pool. Sizes in bytes."""

    id: int
    name: str
    kind: str
    format: str
    made_format: str
    capacity: int
    allocation: int
    path: str
    backing: str


class Sample(Schema):
    """Figures of a virtual machine at a time (milliseconds since 1970). Null: not known."""

    at: int
    cpu: float | None
    """0 to 1 of all its vCPUs."""
    memory_used_kib: int | None
    memory_kib: int | None
    read_bytes_per_second: int | None
    written_bytes_per_second: int | None
    received_bytes_per_second: int | None
    sent_bytes_per_second: int | None


class Stats(Schema):
    """The newest figures; null while it is off or nothing is known."""

    sample: Sample | None


class History(Schema):
    """Figures of the last time, oldest first: every 30 s, every 2 s while somebody looks."""

    items: list[Sample]


class Part(Schema):
    """A part of a list: `next` is the cursor of the following part, null on the last one."""

    next: str | None
    total: int | None
    """How many there are in all, if asked for by `count=1`."""


class Hosts(Part):
    """Hosts."""

    items: list[HostOut]


class Guests(Part):
    """Virtual machines."""

    items: list[GuestOut]


class Pools(Part):
    """Storage pools."""

    items: list[PoolOut]


class Volumes(Part):
    """Volumes of a pool."""

    items: list[VolumeOut]


class Networks(Part):
    """Networks."""

    items: list[NetworkOut]


class Jobs(Part):
    """Jobs."""

    items: list[JobOut]


class OperationOut(Schema):
    """Something that can be done: `POST` to `path` with parameters as `params` (JSON Schema) describes them."""

    name: str
    label: str
    target: str
    """guest, host, pool, network; none: it makes something new."""
    permission: str
    path: str
    params: dict[str, Any]
    confirm: str
    """What will be lost; empty: nothing."""
    cancellable: bool
    locks: bool


class Operations(Schema):
    """All operations that there are."""

    items: list[OperationOut]


class GrantOut(Schema):
    """A role on something: of one's own, or of a group that one is in."""

    role: str
    place: str
    key: str
    group: str | None


class TokenOut(Schema):
    """The token with which the request came."""

    name: str
    hint: str
    role: str
    place: str
    key: str
    expires_at: int | None


class Me(Schema):
    """The person who asks."""

    id: int
    username: str
    language: str
    """Empty: the browser's."""
    groups: list[str]
    grants: list[GrantOut]
    permissions: list[str]
    """Held on everything, the token's scope considered."""
    somewhere: list[str]
    """Held on anything at all."""
    token: TokenOut | None
    quota: list[dict[str, Any]]
    """What one may own and owns already, one for oneself and one for each group that has limits."""


class Problem(Schema):
    """What was wrong (RFC 9457). `code` is one stable word."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    errors: dict[str, list[str]] | None = None
    position: int | None = None
    """Where in a query the error is, counted from 0."""
    job: JobOut | None = None
