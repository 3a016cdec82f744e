"""What a real host is; without SMBIOS, since a lab host has none."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import libvirt
import pytest

from dashboard.virt import nodes
from dashboard.virt.errors import VirtError
from dashboard.virt.pool import borrow
from dashboard.virt.uri import HostSpec
from tests.lab.hosts import LabHost


@pytest.fixture
def conn(lab_host: LabHost) -> Iterator[Any]:
    with borrow(lab_host.spec()) as conn:
        yield conn


def test_a_host_tells_what_it_is(conn: Any) -> None:
    host = nodes.read_host(conn)
    assert host.hostname == "h1.lab"
    assert host.cpus == os.cpu_count()
    assert host.libvirt_version.count(".") == 2
    assert int(host.hypervisor_version.split(".")[0]) >= 4
    assert host.cpu_model in Path("/proc/cpuinfo").read_text()
    assert 0 < host.memory_free_kib < host.memory_kib
    facts = host.facts
    assert facts["arch"] == os.uname().machine
    assert facts["sockets"] * facts["cores"] * facts["threads"] == host.cpus
    assert {"q35", "pc"} <= set(facts["machines"])
    assert facts["machines"].index("q35") < facts["machines"].index(
        next(one for one in facts["machines"] if one.startswith("pc-q35-"))
    )
    assert "bios" in facts["firmwares"]
    assert facts["os"]
    assert facts["encrypted"] is True


def test_kvm_is_not_promised_to_a_processor_without_extensions(conn: Any, lab_host: LabHost) -> None:
    flags = set(Path("/proc/cpuinfo").read_text().split())
    works = nodes.kvm_works(conn)
    if not flags & {"vmx", "svm"}:
        assert works is False
    with borrow(lab_host.spec("ssh")) as remote:
        assert nodes.is_local(conn)
        assert not nodes.is_local(remote)
        if not flags & {"vmx", "svm"}:
            assert nodes.kvm_works(remote) is False


def test_a_connection_that_may_only_look_is_found_out(conn: Any, lab_host: LabHost) -> None:
    nodes.check_access(conn)
    read_only = libvirt.openReadOnly(f"qemu+unix:///system?socket={lab_host.socket}-ro")
    try:
        with pytest.raises(VirtError) as raised:
            nodes.check_access(read_only)
    finally:
        read_only.close()
    assert raised.value.code == "denied"


def test_the_test_driver_is_a_host_too() -> None:
    with borrow(HostSpec("demo", "test")) as conn:
        host = nodes.read_host(conn)
        assert host.kvm is False
        assert host.cpus > 0
        nodes.check_access(conn)
