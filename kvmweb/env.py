"""The one list of environment settings: name, default, meaning, and how to read each.

`NAME_FILE` may hold the path of a file with the value instead of `NAME` (for secrets). A value that
cannot be read stops the process with a sentence that says which setting and what it takes.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

BASE_DIR = Path(__file__).resolve().parent.parent

TRUE = {"1", "true", "yes", "on"}
FALSE = {"0", "false", "no", "off", ""}


class SettingError(SystemExit):
    """A setting of the environment that cannot be used; ends the process with its message."""


@dataclass(frozen=True)
class Setting:
    """One environment setting. `kind` says how its text is read; `help` is the line in the docs."""

    name: str
    default: str
    kind: Literal["text", "bool", "int", "path", "secret"]
    help: str


SETTINGS: dict[str, Setting] = {}


def declare(name: str, default: str, kind: Literal["text", "bool", "int", "path", "secret"], help: str) -> None:
    """Add a setting to the list; `docs/settings.md` is held against this list by a test."""
    SETTINGS[name] = Setting(name, default, kind, help)


declare("KVMWEB_LISTEN", "127.0.0.1:8000", "text", "Address and port of the one port that everything goes through.")
declare(
    "KVMWEB_PUBLIC_URL",
    "",
    "text",
    "Address people type, when kvmweb is behind another proxy (https://vm.example.org). Empty: http:// and KVMWEB_LISTEN.",
)
declare(
    "KVMWEB_TRUSTED_PROXIES",
    "",
    "text",
    "Addresses or networks, comma-separated, of the proxy before kvmweb whose X-Forwarded-For names the visitor.",
)
declare(
    "KVMWEB_TLS_CERTIFICATE",
    "",
    "path",
    "Certificate with its chain (PEM), when kvmweb's own nginx is to speak https on KVMWEB_LISTEN; with KVMWEB_TLS_KEY.",
)
declare("KVMWEB_TLS_KEY", "", "path", "The certificate's private key (PEM).")
declare(
    "KVMWEB_REDIRECT_LISTEN",
    "",
    "text",
    "Address and port on which http:// is only sent on to KVMWEB_PUBLIC_URL, like 0.0.0.0:80. Empty: none.",
)
declare(
    "KVMWEB_STATE_DIR",
    "var",
    "path",
    "Folder of the database, sockets, secrets and logs. A relative path is below the checkout.",
)
declare("KVMWEB_RUN_DIR", "", "path", "Folder of sockets and locks. Empty: `run` in the state folder.")
declare(
    "KVMWEB_STATIC_DIR", "", "path", "Folder of the files collected for nginx. Empty: `static` in the state folder."
)
declare(
    "KVMWEB_DATABASE_URL",
    "",
    "secret",
    "postgresql://user:password@host:port/name, or postgresql://user@/name?host=/run/postgresql for a UNIX socket. Empty: SQLite in the state folder.",
)
declare(
    "KVMWEB_DATABASE_CONNECTIONS",
    "24",
    "int",
    "Connections to PostgreSQL that one process (web, worker, monitor) opens at most.",
)
declare(
    "KVMWEB_REDIS_URL",
    "",
    "secret",
    "redis://… or unix:///path of a Redis of your own. Empty: a private Redis on a UNIX socket in the state folder.",
)
declare(
    "KVMWEB_LOCAL_HOST", "1", "bool", "0: do not install a hypervisor here and do not enrol this machine as a host."
)
declare(
    "KVMWEB_LIBVIRT_SOCKET", "", "path", "UNIX socket of this machine's libvirt, when it is not at its usual place."
)
declare(
    "KVMWEB_SECRET_KEY",
    "",
    "secret",
    "Key that signs sessions. Empty: made on the first run, mode 0600, in the state folder.",
)
declare(
    "KVMWEB_ENCRYPTION_KEYS",
    "",
    "secret",
    "Comma-separated Fernet keys that encrypt second factors, newest first. Empty: made on the first run, mode 0600, in the state folder.",
)
declare(
    "KVMWEB_HOST_KEYS",
    "",
    "secret",
    "Comma-separated X25519 keys that open hosts' credentials, newest first. Empty: made of KVMWEB_ENCRYPTION_KEYS.",
)
declare(
    "KVMWEB_HOST_PUBLIC_KEY",
    "",
    "text",
    "The public half of the newest of KVMWEB_HOST_KEYS, for a web process that may seal credentials and read none.",
)
declare(
    "KVMWEB_HOST_FILES_DIR",
    "",
    "path",
    "Folder of the key files that SSH and TLS need. Empty: `hosts` in the state folder.",
)
declare(
    "KVMWEB_IDLE_MINUTES",
    "120",
    "int",
    "Minutes after which a person who does nothing is signed out; 0: only after the 12 hours that any sign-in lasts.",
)
declare("KVMWEB_LANGUAGE", "en", "text", "Language of a person who has chosen none: en or zh-hans.")
declare("KVMWEB_TIME_ZONE", "UTC", "text", "Time zone in which times are shown.")
declare("KVMWEB_WORKER_THREADS", "16", "int", "Jobs that one worker runs at the same time.")
declare(
    "KVMWEB_BULK_PER_HOST", "4", "int", "How many machines of one host are worked on at once when many were chosen."
)
declare(
    "KVMWEB_KEEP_JOBS_DAYS",
    "180",
    "int",
    "Days after which finished jobs and their logs are removed; 0: never. The audit log is always kept.",
)
declare("KVMWEB_LOG_LEVEL", "INFO", "text", "DEBUG, INFO, WARNING or ERROR.")
declare("KVMWEB_DEBUG", "0", "bool", "1: Django's debug pages. Never where others can reach it.")


def text(name: str) -> str:
    """The value of a declared setting, from `NAME_FILE`, `NAME` or its default, stripped."""
    setting = SETTINGS[name]
    path = os.environ.get(f"{name}_FILE", "")
    if path:
        try:
            return Path(path).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise SettingError(f"{name}_FILE: cannot read {path}: {error.strerror}") from error
    return os.environ.get(name, setting.default).strip()


def boolean(name: str) -> bool:
    """A declared setting as true or false (1/0, true/false, yes/no, on/off)."""
    value = text(name).lower()
    if value in TRUE:
        return True
    if value in FALSE:
        return False
    raise SettingError(f"{name}: {value!r} is neither 1 nor 0")


def integer(name: str) -> int:
    """A declared setting as a whole number."""
    value = text(name)
    try:
        return int(value)
    except ValueError as error:
        raise SettingError(f"{name}: {value!r} is not a whole number") from error


def path(name: str) -> Path:
    """A declared setting as an absolute path; a relative one is below the checkout."""
    return (BASE_DIR / text(name)).absolute()
