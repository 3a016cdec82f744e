"""What each check of a host found, and what a person does about it: texts and exact commands, by distribution."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from django.utils.translation import gettext_lazy as _

from dashboard.inventory.models import Host, Transport
from dashboard.jobs.operation import Text
from dashboard.jobs.wording import english, spoken

State = Literal["ok", "warn", "fail", "ask"]
DEBIAN, FEDORA, SUSE = "Debian, Ubuntu", "Fedora, RHEL", "openSUSE"


LABELS: dict[str, Text] = {
    "resolve": _("Name resolves"),
    "port": _("Port is open"),
    "host_key": _("Host key"),
    "sign_in": _("Sign-in and libvirt"),
    "version": _("Version"),
    "write": _("May change guests"),
    "kvm": _("Hardware virtualization"),
    "pool": _("Default storage pool"),
    "network": _("Default network"),
}


@dataclass(frozen=True)
class Check:
    """One line of the check: its name, how it went, what was seen, and what to run where it did not go well."""

    name: str
    state: State
    text: Text
    hint: Text = ""
    commands: tuple[tuple[Text, str], ...] = ()
    """(distribution or place, command lines)"""
    values: dict[str, Any] = field(default_factory=dict)
    """Fill the %(name)s places of text and hint after translation."""

    def row(self) -> dict[str, Any]:
        """As kept in the job's result: English, translated for each reader by `shown`."""
        return {
            "name": self.name,
            "state": self.state,
            "text": english(self.text),
            "hint": english(self.hint),
            "values": self.values,
            "commands": [[english(place), lines] for place, lines in self.commands],
        }


def shown(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The kept rows in the reader's language, in the order of the check."""
    order = list(LABELS)
    return [
        row
        | {
            "label": LABELS[row["name"]],
            "text": spoken(row["text"], row["values"]),
            "hint": spoken(row["hint"], row["values"]),
            "commands": [(spoken(place), lines) for place, lines in row["commands"]],
        }
        for row in sorted(rows, key=lambda row: order.index(row["name"]))
    ]


def port_closed(host: Host, port: int, reason: str) -> Check:
    """Nothing answers on the port: how remote access is switched on for this transport."""
    hint = _("Nothing answers there. Switch remote access on at the host, and let its firewall pass the port.")
    if host.transport == Transport.TLS:
        hint = _(
            "Nothing answers there. The host needs its certificates first (/etc/pki/CA/cacert.pem, "
            "/etc/pki/libvirt/servercert.pem, /etc/pki/libvirt/private/serverkey.pem); then switch TLS on."
        )
    return Check(
        "port",
        "fail",
        _("Port %(port)s: %(reason_text)s"),
        hint,
        _switch_on(host, port),
        {"port": port, "reason_text": reason},
    )


def _switch_on(host: Host, port: int) -> tuple[tuple[Text, str], ...]:
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
            return (
                (DEBIAN, "sudo systemctl stop libvirtd && sudo systemctl enable --now libvirtd-tls.socket"),
                (FEDORA, f"sudo systemctl enable --now virtproxyd-tls.socket\n{opened}"),
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


def sign_in_failed(host: Host, code: str, message: Text, public_key: str) -> Check:
    """Sign-in or libvirt itself said no: the command that mends it, by what was refused."""
    if code == "auth" and public_key:
        home = "/root" if host.user == "root" else f"/home/{host.user}"
        line = f"mkdir -p -m 700 {home}/.ssh && echo '{public_key}' >> {home}/.ssh/authorized_keys"
        return Check(
            "sign_in",
            "fail",
            _("%(user)s may not sign in with this key yet."),
            _("Run this on the host as %(user)s, then check again."),
            ((host.address, line),),
            {"user": host.user},
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


def libvirt_missing() -> tuple[tuple[Text, str], ...]:
    """How libvirt is installed and started."""
    return (
        (
            DEBIAN,
            "sudo apt install libvirt-daemon-system qemu-system-x86 netcat-openbsd\nsudo systemctl enable --now libvirtd",
        ),
        (FEDORA, "sudo dnf install libvirt-daemon-kvm\nsudo systemctl enable --now virtqemud.socket virtproxyd.socket"),
        (SUSE, "sudo zypper install -t pattern kvm_server\nsudo systemctl enable --now libvirtd"),
    )
