"""The mirror of every host: written by the monitor and by enrolment, read by every page."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from dashboard.accounts.access import Place


class Transport(models.TextChoices):
    """How a host's libvirt is reached."""

    LOCAL = "local", _("This machine")
    SSH = "ssh", _("SSH")
    TLS = "tls", _("TLS")
    TCP = "tcp", _("TCP with SASL")
    TEST = "test", _("Test driver (demo)")


class Host(models.Model):
    """One libvirt host: how to reach it, what it is, and whether it answers."""

    class Status(models.TextChoices):
        """What the monitor last knew. Only `live` is a fresh picture."""

        NEW = "new", _("Not checked yet")
        CONNECTING = "connecting", _("Connecting")
        LIVE = "live", _("Live")
        DOWN = "down", _("Unreachable")
        UNTRUSTED = "untrusted", _("Host key changed")
        DISABLED = "disabled", _("Disabled")

    name = models.CharField(max_length=63, unique=True)
    transport = models.CharField(max_length=8, choices=Transport.choices)
    address = models.CharField(max_length=255, blank=True)
    port = models.PositiveIntegerField(null=True, blank=True)
    user = models.CharField(max_length=32, blank=True)
    secrets = models.TextField(blank=True, default="")
    """Fernet-encrypted JSON: private_key, password, ca, client_cert, client_key. Read by `inventory.credentials` only."""
    host_keys = models.TextField(blank=True, default="")
    """Approved SSH host keys, lines of known_hosts. Empty: none approved yet, no connection is made."""
    enabled = models.BooleanField(default=True)

    status = models.CharField(max_length=16, choices=Status.choices, default=Status.NEW)
    status_text = models.TextField(blank=True, default="")
    """Why it is not live, in plain words: a msgid of `virt.errors.MESSAGES` or of the monitor."""
    status_detail = models.TextField(blank=True, default="")
    """libvirt's own words for it."""
    last_seen = models.DateTimeField(null=True, blank=True)
    connected_at = models.DateTimeField(null=True, blank=True)
    generation = models.BigIntegerField(default=0)
    """Grows with every full comparison; pages use it to see that a picture is newer."""

    hostname = models.CharField(max_length=255, blank=True, default="")
    libvirt_version = models.CharField(max_length=32, blank=True, default="")
    hypervisor_version = models.CharField(max_length=32, blank=True, default="")
    cpu_model = models.CharField(max_length=255, blank=True, default="")
    cpus = models.PositiveIntegerField(default=0)
    memory_kib = models.BigIntegerField(default=0)
    memory_free_kib = models.BigIntegerField(default=0)
    kvm = models.BooleanField(null=True)
    """Whether guests of type kvm run here; None: not known. False: guests are emulated."""
    facts = models.JSONField(default=dict)
    """Topology, sockets, cores, threads, arch, os, machine types, checks: see `virt.facts.HostFacts`."""

    class Meta:
        ordering: ClassVar[list[str]] = ["name"]

    def __str__(self) -> str:
        return self.name

    @property
    def place(self) -> Place:
        """What rights on it are asked for."""
        return Place(host=self.pk)


class Guest(models.Model):
    """One virtual machine as its host's libvirt last told it."""

    host = models.ForeignKey(Host, on_delete=models.CASCADE, related_name="guests")
    uuid = models.UUIDField(db_index=True)
    name = models.CharField(max_length=255, db_index=True)
    title = models.CharField(max_length=255, blank=True, default="")
    description = models.TextField(blank=True, default="")
    state = models.CharField(max_length=16, db_index=True)
    """running, paused, shutoff, stopping, crashed, suspended, unknown (virt.facts.GuestState)."""
    reason = models.CharField(max_length=32, blank=True, default="")
    persistent = models.BooleanField(default=True)
    autostart = models.BooleanField(default=False)
    saved = models.BooleanField(default=False)
    """Has a managed save image: the next start restores it."""
    started_at = models.DateTimeField(null=True, blank=True)
    vcpus = models.PositiveIntegerField(default=0)
    vcpus_max = models.PositiveIntegerField(default=0)
    memory_kib = models.BigIntegerField(default=0)
    memory_max_kib = models.BigIntegerField(default=0)
    tags = models.JSONField(default=list)
    tags_text = models.TextField(blank=True, default="")
    """" web db ": the tags between spaces, for searching."""
    addresses = models.JSONField(default=list)
    """[{"ip": "192.0.2.7", "prefix": 24, "mac": "52:54:…", "source": "agent"|"lease"|"arp"}]"""
    facts = models.JSONField(default=dict)
    """Machine, firmware, CPU, boot order, disks, NICs, graphics, serials: see `virt.facts.GuestFacts.facts`."""
    xml = models.TextField(blank=True, default="")
    """The domain XML without secrets."""
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["name"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["host", "uuid"], name="one_guest_per_host_and_uuid")
        ]
        indexes: ClassVar[list[models.Index]] = [
            # The list counts guests by state on every page: from this index alone, never by reading 10,000 rows with XML.
            models.Index(fields=["host", "state", "saved"], name="guests_by_host_and_state")
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def place(self) -> Place:
        """What rights on it are asked for."""
        return Place(host=self.host_id, guest=str(self.uuid), tags=tuple(self.tags))


class Pool(models.Model):
    """One storage pool."""

    host = models.ForeignKey(Host, on_delete=models.CASCADE, related_name="pools")
    uuid = models.UUIDField()
    name = models.CharField(max_length=255)
    kind = models.CharField(max_length=32, blank=True, default="")
    """dir, fs, netfs, logical, disk, iscsi, rbd, …"""
    state = models.CharField(max_length=16)
    """inactive, building, running, degraded, inaccessible"""
    persistent = models.BooleanField(default=True)
    autostart = models.BooleanField(default=False)
    capacity = models.BigIntegerField(default=0)
    """Bytes, as are allocation and available."""
    allocation = models.BigIntegerField(default=0)
    available = models.BigIntegerField(default=0)
    path = models.TextField(blank=True, default="")

    class Meta:
        ordering: ClassVar[list[str]] = ["name"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["host", "uuid"], name="one_pool_per_host_and_uuid")
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def place(self) -> Place:
        """What rights on it are asked for."""
        return Place(host=self.host_id)

    @property
    def used_fraction(self) -> float | None:
        """How full it is, 0 to 1; None while its size is not known."""
        return self.allocation / self.capacity if self.capacity else None


class Volume(models.Model):
    """One volume of a pool."""

    pool = models.ForeignKey(Pool, on_delete=models.CASCADE, related_name="volumes")
    name = models.CharField(max_length=255)
    kind = models.CharField(max_length=16, blank=True, default="")
    """file, block, dir, network, …"""
    format = models.CharField(max_length=16, blank=True, default="")
    """What libvirt detects (raw, qcow2, iso, …). Never trusted for a guest's own disk: see `made_format`."""
    made_format = models.CharField(max_length=16, blank=True, default="")
    """The format with which kvmweb made it; empty for volumes made by others."""
    capacity = models.BigIntegerField(default=0)
    allocation = models.BigIntegerField(default=0)
    path = models.TextField(blank=True, default="", db_index=True)
    backing = models.TextField(blank=True, default="")

    class Meta:
        ordering: ClassVar[list[str]] = ["name"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["pool", "name"], name="one_volume_per_pool_and_name")
        ]

    def __str__(self) -> str:
        return self.name


class Network(models.Model):
    """One libvirt network."""

    host = models.ForeignKey(Host, on_delete=models.CASCADE, related_name="networks")
    uuid = models.UUIDField()
    name = models.CharField(max_length=255)
    active = models.BooleanField(default=False)
    persistent = models.BooleanField(default=True)
    autostart = models.BooleanField(default=False)
    forward = models.CharField(max_length=16, blank=True, default="")
    """nat, route, open, bridge, …; empty: isolated."""
    bridge = models.CharField(max_length=64, blank=True, default="")
    subnets = models.JSONField(default=list)
    """["192.168.122.0/24"]"""

    class Meta:
        ordering: ClassVar[list[str]] = ["name"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["host", "uuid"], name="one_network_per_host_and_uuid")
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def place(self) -> Place:
        """What rights on it are asked for."""
        return Place(host=self.host_id)
