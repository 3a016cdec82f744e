"""What is done to hosts: the step-by-step check, and the default pool and network."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from dashboard.hosts import checks
from dashboard.hosts.checks import Check
from dashboard.hosts.enrol import public_key
from dashboard.inventory.credentials import spec_for
from dashboard.inventory.models import Host, Transport
from dashboard.jobs.errors import Failed
from dashboard.jobs.operation import NoParams, Operation, Step, register
from dashboard.virt import networks, nodes, ssh, storage
from dashboard.virt.connection import open_connection
from dashboard.virt.errors import VirtError
from dashboard.virt.uri import DEFAULT_PORTS

if TYPE_CHECKING:
    from dashboard.jobs.context import Context

PROBE_SECONDS = 3.0
NO_ANSWER = gettext_noop("no answer")
REASONS = (gettext_noop("Connection refused"), gettext_noop("No route to host"), gettext_noop("Network is unreachable"))
"""What the operating system says most often, so that it is translated too."""


def _found(ctx: Context, check: Check) -> None:
    """Keep what a check found where the page sees it; a failed one ends the job with its sentence."""
    rows = [row for row in ctx.job.result.get("checks", []) if row["name"] != check.name]
    ctx.result(checks=[*rows, check.row()])
    ctx.log(check.text, **check.values)
    if check.state in ("fail", "ask"):
        raise Failed(check.text, code="host_key" if check.name == "host_key" else "check", **check.values)


def _host(ctx: Context) -> Host:
    assert ctx.host is not None  # noqa: S101 - the operation's target is a host
    return ctx.host


def _port(host: Host) -> int:
    return host.port or DEFAULT_PORTS[host.transport]


def _networked(host: Host) -> bool:
    return host.transport in DEFAULT_PORTS


def _resolve(ctx: Context) -> None:
    host = _host(ctx)
    if not _networked(host):
        return
    try:
        found = socket.getaddrinfo(host.address, _port(host), type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        text = _("%(name)s is not known: %(reason)s")
        hint = _("Is the name spelled right, and known to this machine's DNS or /etc/hosts?")
        values = {"name": host.address, "reason": error.strerror}
        _found(ctx, Check("resolve", "fail", text, hint, values=values))
        return
    _found(ctx, Check("resolve", "ok", ", ".join(sorted({str(entry[4][0]) for entry in found}))))


def _open_port(ctx: Context) -> None:
    host = _host(ctx)
    if not _networked(host):
        return
    port = _port(host)
    try:
        socket.create_connection((host.address, port), timeout=PROBE_SECONDS).close()
    except OSError as error:
        reason = NO_ANSWER if isinstance(error, TimeoutError) else (error.strerror or str(error))
        _found(ctx, checks.port_closed(host, port, reason))
        return
    _found(ctx, Check("port", "ok", _("Port %(port)s answers"), values={"port": port}))


def _host_key(ctx: Context) -> None:
    host = _host(ctx)
    if host.transport != Transport.SSH:
        return
    try:
        keys = ssh.scan_host_keys(host.address, _port(host), PROBE_SECONDS)
    except VirtError as error:
        hint = _("Something answers on the port, but it is no SSH server that shows a usable key.")
        _found(ctx, Check("host_key", "fail", error.message, hint))
        return
    pinned = set(host.host_keys.split("\n"))
    shown = [{"kind": key.kind, "fingerprint": key.fingerprint_sha256, "line": key.line} for key in keys]
    if any(key.line in pinned for key in keys):
        _found(ctx, Check("host_key", "ok", _("The approved key")))
        return
    ctx.result(host_keys=shown)
    if host.host_keys:
        text = _("The host shows another key than the approved one.")
        hint = _(
            "Either the host was set up anew, or somebody is in between. Compare on the host itself before you approve."
        )
    else:
        text, hint = _("Approve the host's key."), _("Compare with what the host itself says:")
    command = "for f in /etc/ssh/ssh_host_*_key.pub; do ssh-keygen -lf $f; done"
    _found(ctx, Check("host_key", "ask", text, hint, ((host.address, command),)))


def _sign_in(ctx: Context) -> None:
    host = _host(ctx)
    try:
        connection = open_connection(spec_for(host))
    except VirtError as error:
        ctx.log("%(detail)s", "warning", detail=error.detail)
        _found(ctx, checks.sign_in_failed(host, error.code, error.message, public_key(host)))
        return
    try:
        _found(ctx, Check("sign_in", "ok", _("libvirt answers")))
        facts = nodes.read_host(connection.conn)
        versions = f"libvirt {facts.libvirt_version}, QEMU {facts.hypervisor_version}"
        _found(ctx, Check("version", "ok", versions))
        _found(ctx, _may_write(connection.conn))
        _found(ctx, _kvm(facts.kvm))
    finally:
        connection.close()


def _may_write(conn: Any) -> Check:
    try:
        nodes.check_access(conn)
    except VirtError as error:
        return Check("write", "warn", error.message, _("Guests can be seen but not changed with this user."))
    return Check("write", "ok", _("Reading and writing"))


def _kvm(works: bool) -> Check:
    if works:
        return Check("kvm", "ok", _("KVM works"))
    return Check(
        "kvm",
        "warn",
        _("KVM does not work here: guests will be emulated, several times slower."),
        _("Switch on VT-x or AMD-V (or nested virtualization) in the firmware, and load the module."),
        (("", "grep -cE 'vmx|svm' /proc/cpuinfo; sudo modprobe -a kvm_intel kvm_amd; ls -l /dev/kvm"),),
    )


def _defaults(ctx: Context) -> None:
    pools = {pool.name for pool in storage.read_pools(ctx.conn)}
    nets = {net.name for net in networks.read_networks(ctx.conn)}
    for name, there, missing in (
        (
            "pool",
            "default" in pools,
            _("There is no pool called default: make it here, or choose another when creating guests."),
        ),
        (
            "network",
            "default" in nets,
            _("There is no network called default: make it here, or choose another when creating guests."),
        ),
    ):
        _found(ctx, Check(name, "ok" if there else "warn", _("Found") if there else missing))
    ctx.ask("all")


def _no_line(host: Host, params: NoParams) -> str:
    return "virsh -c <host> version\nvirsh -c <host> nodeinfo\nvirsh -c <host> domcapabilities --virttype kvm"


register(
    Operation(
        name="host.check",
        label=_("Check"),
        permission="host.manage",
        target="host",
        steps=(
            Step("resolve", _("Name resolves"), _resolve),
            Step("port", _("Port is open"), _open_port),
            Step("host_key", _("Host key"), _host_key),
            Step("sign_in", _("Sign-in and libvirt"), _sign_in),
            Step("defaults", _("Default pool and network"), _defaults),
        ),
        virsh=_no_line,
        locks=False,
        offline=True,
        quiet=True,
        icon="activity",
    )
)


def _make_pool(ctx: Context) -> None:
    storage.create_default_pool(ctx.conn)
    ctx.ask("all")


def _make_network(ctx: Context) -> None:
    networks.create_default_network(ctx.conn)
    ctx.ask("all")


register(
    Operation(
        name="host.make_default_pool",
        label=_("Make the default pool"),
        permission="host.manage",
        target="host",
        steps=(Step("pool", _("Make, start and autostart the pool"), _make_pool),),
        virsh=lambda host, params: (
            "virsh pool-define-as default dir --target /var/lib/libvirt/images\n"
            "virsh pool-build default\nvirsh pool-start default\nvirsh pool-autostart default"
        ),
        icon="database",
    )
)
register(
    Operation(
        name="host.make_default_network",
        label=_("Make the default network"),
        permission="host.manage",
        target="host",
        steps=(Step("network", _("Make, start and autostart the network"), _make_network),),
        virsh=lambda host, params: (
            "virsh net-define /usr/share/libvirt/networks/default.xml\nvirsh net-start default\nvirsh net-autostart default"
        ),
        icon="network",
    )
)
