"""Everything that can go wrong with libvirt, as one exception with a stable code and a sentence that says what to do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import libvirt


def gettext_noop(text: str) -> str:
    """Mark a sentence for translation without translating it: `virt` knows no language, whoever shows it does."""
    return text


MESSAGES: dict[str, str] = {
    "unreachable": gettext_noop(
        "The host cannot be reached. Check that it is on, that the network works and that libvirt runs there."
    ),
    "timeout": gettext_noop("The host did not answer in time. It may be overloaded or hung."),
    "auth": gettext_noop("The host refused the sign-in. Check the user, the key or password, or the certificates."),
    "host_key": gettext_noop(
        "The host's identity is not the one that was approved. Check the host, then approve its new key."
    ),
    "denied": gettext_noop(
        "The host does not allow this account to do that. Add the account to the host's libvirt group."
    ),
    "not_found": gettext_noop("It is no longer there: somebody has deleted or renamed it."),
    "exists": gettext_noop("Something with this name or UUID exists already. Choose another name."),
    "busy": gettext_noop("Another operation is running on it. Try again when that has ended."),
    "state": gettext_noop("Its present state does not allow this. Look at it again, then choose what fits."),
    "invalid": gettext_noop("The host refused the definition. The original message says which part."),
    "unsupported": gettext_noop("The host's version of libvirt or QEMU cannot do this."),
    "no_space": gettext_noop("There is no space left on the storage. Free some, or choose another pool."),
    "in_use": gettext_noop("It is in use by something else, for example by a running virtual machine."),
    "agent": gettext_noop(
        "The guest agent does not answer. Check that qemu-guest-agent is installed and runs in the guest."
    ),
    "changed": gettext_noop("It was changed by somebody else in the meantime. Look at it again, then repeat."),
    "aborted": gettext_noop("The operation was cancelled."),
    "internal": gettext_noop("The host reported a failure. The original message says more."),
}
"""One sentence per code: msgids, translated where they are shown."""

_BY_NUMBER = {
    "NO_CONNECT": "unreachable", "AUTH_FAILED": "auth", "AUTH_CANCELLED": "auth", "AUTH_UNAVAILABLE": "denied",
    "OPERATION_DENIED": "denied", "ACCESS_DENIED": "denied",
    "NO_DOMAIN": "not_found", "NO_NETWORK": "not_found", "NO_STORAGE_POOL": "not_found", "NO_STORAGE_VOL": "not_found",
    "NO_NODE_DEVICE": "not_found", "NO_DOMAIN_SNAPSHOT": "not_found", "NO_DOMAIN_CHECKPOINT": "not_found",
    "NO_INTERFACE": "not_found", "NO_NWFILTER": "not_found", "NO_NETWORK_PORT": "not_found", "NO_SECRET": "not_found",
    "NO_DOMAIN_METADATA": "not_found", "NO_SERVER": "not_found", "NO_DOMAIN_BACKUP": "not_found", "DEVICE_MISSING": "not_found",
    "DOM_EXIST": "exists", "NETWORK_EXIST": "exists", "STORAGE_VOL_EXIST": "exists", "NETWORK_PORT_EXIST": "exists",
    "OPERATION_INVALID": "state", "OPERATION_TIMEOUT": "busy", "RESOURCE_BUSY": "busy", "BLOCK_COPY_ACTIVE": "busy",
    "XML_ERROR": "invalid", "XML_DETAIL": "invalid", "INVALID_ARG": "invalid", "XML_INVALID_SCHEMA": "invalid",
    "INVALID_MAC": "invalid", "OVERFLOW": "invalid",
    "NO_SUPPORT": "unsupported", "CONFIG_UNSUPPORTED": "unsupported", "ARGUMENT_UNSUPPORTED": "unsupported",
    "OPERATION_UNSUPPORTED": "unsupported", "SNAPSHOT_REVERT_RISKY": "unsupported", "NO_KERNEL": "invalid",
    "AGENT_UNRESPONSIVE": "agent", "AGENT_UNSYNCED": "agent", "AGENT_COMMAND_TIMEOUT": "agent", "AGENT_COMMAND_FAILED": "agent",
    "OPERATION_ABORTED": "aborted",
}  # fmt: skip
_NUMBERS = {
    getattr(libvirt, f"VIR_ERR_{name}"): code
    for name, code in _BY_NUMBER.items()
    if hasattr(libvirt, f"VIR_ERR_{name}")
}

_BY_TEXT: list[tuple[str, str]] = [
    (r"host key|hostkey|known_?hosts|certificate (owner|hostname)|does not match the hostname", "host_key"),
    (r"permission denied \(|authentication (failed|required|failure)|failed to authenticate|access denied\. "
     r"|error while authenticating|no valid.*auth|auth.*method.*(fail|not)|TLS confirmation|known issuer|not been signed"
     r"|certificate (has|is|failed)|worthy mechs|TLS handshake|private key .* authentication", "auth"),
    (r"connection (refused|reset)|no route to host|unreachable|end of file|broken pipe|socket is closed|keepalive timeout"
     r"|failed to connect|unable to connect|cannot connect to '|name or service not known|resolve|timed out waiting for server"
     r"|socket is not connected|remote command terminated|connection timed out|server not responding|monitor socket did not show", "unreachable"),
    (r"no space left|disk quota", "no_space"),
    (r"active console session|failed to get .*(write|consistent read|shared).* lock|in use by|is already in use|device or resource busy"
     r"|being used|target is busy", "in_use"),
    (r"already exists|already defined|is already active with uuid|file exists", "exists"),
    (r"cannot acquire state change lock|another (job|operation)|job .* is already|active block job"
     r"|still being allocated|volume .* is still in use|has asynchronous jobs running", "busy"),
    (r"guest agent", "agent"),
    (r"permission denied|operation not permitted", "denied"),
    (r"no such file or directory|not found", "not_found"),
    (r"(is|are) not (running|active)|already (running|active)|is (running|active)", "state"),
]  # fmt: skip
_VAGUE = {
    getattr(libvirt, f"VIR_ERR_{name}")
    for name in (
        "INTERNAL_ERROR",
        "SYSTEM_ERROR",
        "OPERATION_FAILED",
        "RPC",
        "LIBSSH",
        "SSH",
        "AUTH_FAILED",
        "NO_CONNECT",
        "OPERATION_INVALID",
    )
    if hasattr(libvirt, f"VIR_ERR_{name}")
}
"""Numbers that say little by themselves: there the text decides first."""
_TRANSPORT_CODES = {"host_key", "auth", "unreachable"}
_TRANSPORT_DOMAINS = {
    getattr(libvirt, f"VIR_FROM_{name}")
    for name in ("RPC", "REMOTE", "LIBSSH", "SSH", "AUTH", "NONE", "TLS", "POLKIT")
    if hasattr(libvirt, f"VIR_FROM_{name}")
}


class VirtError(Exception):
    """What every public function of `virt` raises. `message` is a msgid of MESSAGES, `detail` is libvirt's own text."""

    def __init__(self, code: str, detail: str = "", message: str = "") -> None:
        self.code = code if code in MESSAGES else "internal"
        self.message = message or MESSAGES[self.code]
        self.detail = detail
        super().__init__(self.message)

    def __str__(self) -> str:
        return f"{self.code}: {self.detail or self.message}"

    def __reduce__(self) -> tuple[type[VirtError], tuple[str, str, str]]:
        return VirtError, (self.code, self.detail, self.message)


def translate(error: libvirt.libvirtError) -> VirtError:
    """The VirtError that says what a libvirtError means."""
    number, domain = error.get_error_code(), error.get_error_domain()
    text = (error.get_error_message() or str(error)).strip()
    return VirtError(_code(number, domain, text), text)


def _code(number: int | None, domain: int | None, text: str) -> str:
    known = _NUMBERS.get(number, "internal") if number is not None else "internal"
    if number is not None and number not in _VAGUE:
        return known
    for pattern, code in _BY_TEXT:
        if code in _TRANSPORT_CODES and domain not in _TRANSPORT_DOMAINS:
            continue
        if re.search(pattern, text, re.IGNORECASE):
            return code
    return known


@contextmanager
def virt_errors() -> Iterator[None]:
    """Turn libvirt's errors into VirtError; a context manager and, called, a decorator too (`@virt_errors()`)."""
    try:
        yield
    except libvirt.libvirtError as error:
        raise translate(error) from error


def _silent(_context: object, _error: object) -> None:
    """libvirt prints every error on stderr otherwise, beside raising it."""


libvirt.registerErrorHandler(_silent, None)
