"""libvirt's own words, as they came from real hosts, and the codes that they stand for."""

from __future__ import annotations

import copy

import libvirt
import pytest

from dashboard.virt import errors
from dashboard.virt.errors import MESSAGES, VirtError, virt_errors

SEEN = [
    ("SYSTEM_ERROR", "RPC", "unable to connect to server at '10.0.0.1:16509': Connection refused", "unreachable"),
    ("SYSTEM_ERROR", "RPC", "unable to connect to server at '10.0.0.1:16509': No route to host", "unreachable"),
    ("SYSTEM_ERROR", "RPC", "End of file while reading data: Input/output error", "unreachable"),
    ("SYSTEM_ERROR", "RPC", "Failed to connect socket to '/run/libvirt/libvirt-sock': No such file or directory", "unreachable"),
    ("INTERNAL_ERROR", "RPC", "client socket is closed", "unreachable"),
    ("INTERNAL_ERROR", "RPC", "internal error: connection closed due to keepalive timeout", "unreachable"),
    ("AUTH_FAILED", "RPC", "authentication failed: authentication failed", "auth"),
    ("SYSTEM_ERROR", "RPC", "Cannot recv data: Host key verification failed.: Connection reset by peer", "host_key"),
    ("SYSTEM_ERROR", "RPC", "Cannot recv data: root@h: Permission denied (publickey,password).: Connection reset by peer", "auth"),
    ("NO_DOMAIN", "QEMU", "Domain not found: no domain with matching name 'x'", "not_found"),
    ("OPERATION_INVALID", "QEMU", "Requested operation is not valid: domain is not running", "state"),
    ("OPERATION_TIMEOUT", "QEMU", "Timed out during operation: cannot acquire state change lock (held by monitor=x)", "busy"),
    ("OPERATION_INVALID", "STORAGE", "Requested operation is not valid: volume 'a.qcow2' is still being allocated.", "busy"),
    ("OPERATION_INVALID", "STORAGE", "Requested operation is not valid: volume 'a.qcow2' is still in use.", "busy"),
    ("INTERNAL_ERROR", "STORAGE", "internal error: pool 'a' has asynchronous jobs running.", "busy"),
    ("OPERATION_FAILED", "QEMU", "operation failed: domain 'x' already exists with uuid 4c41", "exists"),
    ("OPERATION_FAILED", "STORAGE", "operation failed: pool 'x' is already active with uuid 4c41", "exists"),
    ("INTERNAL_ERROR", "QEMU", "internal error: process exited: Failed to get \"write\" lock", "in_use"),
    ("INTERNAL_ERROR", "QEMU", "internal error: Active console session exists for this domain", "in_use"),
    ("LIBSSH", "LIBSSH", "libssh transport error: Remote command terminated with non-zero code: 1", "unreachable"),
    ("SYSTEM_ERROR", "STORAGE", "cannot fill file '/x': No space left on device", "no_space"),
    ("SYSTEM_ERROR", "STORAGE", "cannot open file '/x': Permission denied", "denied"),
    ("OPERATION_DENIED", "DOMAIN", "operation virDomainCreate forbidden for read only access", "denied"),
    ("AUTH_UNAVAILABLE", "POLKIT", "authentication unavailable: no polkit agent available", "denied"),
    ("AGENT_UNRESPONSIVE", "QEMU", "Guest agent is not responding: QEMU guest agent is not connected", "agent"),
    ("OPERATION_ABORTED", "QEMU", "operation aborted: migration out: canceled by client", "aborted"),
    ("XML_ERROR", "DOMAIN", "XML error: missing name", "invalid"),
    ("CONFIG_UNSUPPORTED", "QEMU", "unsupported configuration: CPU topology", "unsupported"),
    ("NO_SUPPORT", "REMOTE", "this function is not supported by the connection driver: x", "unsupported"),
    ("INTERNAL_ERROR", "QEMU", "internal error: something nobody has seen", "internal"),
]  # fmt: skip


@pytest.mark.parametrize(("number", "domain", "text", "code"), SEEN)
def test_what_libvirt_says_becomes_the_right_code(number: str, domain: str, text: str, code: str) -> None:
    assert errors._code(getattr(libvirt, f"VIR_ERR_{number}"), getattr(libvirt, f"VIR_FROM_{domain}"), text) == code


def test_every_code_has_a_sentence_and_every_text_pattern_a_code() -> None:
    assert {code for _, code in errors._BY_TEXT} | set(errors._BY_NUMBER.values()) <= set(MESSAGES)
    assert all(message.endswith(".") for message in MESSAGES.values())


def test_libvirts_errors_become_virt_errors() -> None:
    with pytest.raises(VirtError) as raised, virt_errors():
        libvirt.open("test:///default").lookupByName("nobody")
    assert raised.value.code == "not_found"
    assert raised.value.message == MESSAGES["not_found"]
    assert "Domain not found" in raised.value.detail


def test_a_copy_of_an_error_says_the_same() -> None:
    again = copy.copy(VirtError("busy", "held by x"))
    assert (again.code, again.detail, again.message) == ("busy", "held by x", MESSAGES["busy"])
