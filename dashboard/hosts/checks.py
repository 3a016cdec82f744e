"""What each check of a host found, and what a person does about it: texts and exact commands, by distribution."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from django.utils.translation import gettext as _

from dashboard.inventory.models import Host, Transport

State = Literal["ok", "warn", "fail", "ask"]
DEBIAN, FEDORA, SUSE = "Debian, Ubuntu", "Fedora, RHEL", "openSUSE"


@dataclass(frozen=True)
class Check:
    """One line of the check: its name, how it went, what was seen, and what to run where it did not go well."""

    name: str
    state: State
    text: str
    hint: str = ""
    commands: tuple[tuple[str, str], ...] = ()
    """(distribution or place, command lines)"""

    def row(self) -> dict[str, Any]:
        """As kept in the job's result."""
        return asdict(self) | {"label": label(self.name)}


def label(name: str) -> str:
    """A check's name on the page."""
    return {
        "resolve": _("Name resolves"),
        "port": _("Port is open"),
        "host_key": _("Host key"),
        "sign_in": _("Sign-in and libvirt"),
        "version": _("Version"),
        "write": _("May change guests"),
        "kvm": _("Hardware virtualization"),
        "pool": _("Default storage pool"),
        "network": _("Default network"),
    }[name]


def port_closed(host: Host, port: int, reason: str) -> Check:
    """Nothing answers on the port: how remote access is switched on for this transport."""
    hint = _("Nothing answers there. Switch remote access on at the host, and let its firewall pass the port.")
    return Check(
        "port", "fail", _("Port %(port)d: %(reason)s") % {"port": port, "reason": reason}, hint, _switch_on(host, port)
    )


def _switch_on(host: Host, port: int) -> tuple[tuple[str, str], ...]:
    opened = f"sudo firewall-cmd --permanent --add-port={port}/tcp && sudo firewall-cmd --reload"
    match host.transport:
        case Transport.SSH:
            return (
                (
                    DEBIAN,
                    f"sudo apt install openssh-server && sudo systemctl enable --now ssh\nsudo ufw allow {port}/tcp",
                ),
                (FEDORA, f"sudo dnf install openssh-server && sudo systemctl enable --now sshd\n{opened}"),
            )
        case Transport.TLS:
            where = _(
                "certificates first: /etc/pki/CA/cacert.pem, /etc/pki/libvirt/servercert.pem, /etc/pki/libvirt/private/serverkey.pem"
            )
            return (
                (
                    f"{DEBIAN} ({where})",
                    "sudo systemctl stop libvirtd && sudo systemctl enable --now libvirtd-tls.socket",
                ),
                (f"{FEDORA} ({where})", f"sudo systemctl enable --now virtproxyd-tls.socket\n{opened}"),
            )
        case _:
            line = 'auth_tcp = "sasl"'
            return (
                (
                    DEBIAN,
                    f"echo '{line}' | sudo tee -a /etc/libvirt/libvirtd.conf\n"
                    "sudo systemctl stop libvirtd && sudo systemctl enable --now libvirtd-tcp.socket",
                ),
                (
                    FEDORA,
                    f"echo '{line}' | sudo tee -a /etc/libvirt/virtproxyd.conf\n"
                    f"sudo systemctl enable --now virtproxyd-tcp.socket\n{opened}",
                ),
            )


def sign_in_failed(host: Host, code: str, message: str, public_key: str) -> Check:
    """Sign-in or libvirt itself said no: the command that mends it, by what was refused."""
    if code == "auth" and public_key:
        home = "/root" if host.user == "root" else f"/home/{host.user}"
        line = f"mkdir -p -m 700 {home}/.ssh && echo '{public_key}' >> {home}/.ssh/authorized_keys"
        return Check(
            "sign_in",
            "fail",
            _("%(user)s may not sign in with this key yet.") % {"user": host.user},
            _("Run this on the host as %(user)s, then check again.") % {"user": host.user},
            ((host.address, line),),
        )
    if code == "auth" and host.transport == Transport.TCP:
        return Check(
            "sign_in",
            "fail",
            message,
            _(
                "Is this user known to libvirt's SASL on the host? In /etc/sasl2/libvirt.conf: mech_list: digest-md5 or scram-sha-256."
            ),
            (
                (
                    host.address,
                    f"sudo saslpasswd2 -a libvirt {host.user}\nsudo sasldblistusers2 -f /etc/libvirt/passwd.db",
                ),
            ),
        )
    if code == "denied":
        return Check(
            "sign_in",
            "fail",
            message,
            _("The user may sign in but may not manage libvirt: make them a member of its group."),
            ((host.address, f"sudo usermod -aG libvirt {host.user}"),),
        )
    return Check("sign_in", "fail", message, _("Is libvirt installed and running on the host?"), libvirt_missing())


def libvirt_missing() -> tuple[tuple[str, str], ...]:
    """How libvirt is installed and started."""
    return (
        (
            DEBIAN,
            "sudo apt install libvirt-daemon-system qemu-system-x86 netcat-openbsd\nsudo systemctl enable --now libvirtd",
        ),
        (FEDORA, "sudo dnf install libvirt-daemon-kvm\nsudo systemctl enable --now virtqemud.socket virtproxyd.socket"),
        (SUSE, "sudo zypper install -t pattern kvm_server\nsudo systemctl enable --now libvirtd"),
    )
