"""What a host is: processors, memory, versions, machines, firmware, and whether KVM really works there."""

from __future__ import annotations

import contextlib
import logging
import platform
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import libvirt
from lxml import etree

from dashboard.virt import relay
from dashboard.virt.errors import translate, virt_errors
from dashboard.virt.facts import HostFacts
from dashboard.virt.xml.parse import XmlRefused, parse

log = logging.getLogger(__name__)

KVM_PROBE_SECONDS = 10.0
"""The probe ends after one second of processor time; this is for a machine that has none to give."""
KVM_PROBE_AGAIN = 1800.0
LOCAL_URIS = ("qemu:///", "qemu+unix:///")
_probe_lock = threading.Lock()
_probed: tuple[float, str] | None = None


def read_host(conn: Any) -> HostFacts:
    """Everything that is known of a host (getInfo, getCapabilities, getMemoryStats, getSysinfo; memory in KiB)."""
    with virt_errors():
        arch, _memory, cpus, mhz, nodes, sockets, cores, threads = conn.getInfo()
        capabilities = parse(conn.getCapabilities())
        total, free = _memory_kib(conn)
        facts = {
            "arch": arch,
            "sockets": sockets * nodes,
            "cores": cores,
            "threads": threads,
            "nodes": nodes,
            "mhz": mhz,
            "machines": _machines(capabilities, arch),
            "firmwares": _firmwares(conn),
            "os": _operating_system(conn),
            "encrypted": bool(conn.isSecure()),
        }
        return HostFacts(
            hostname=conn.getHostname(),
            libvirt_version=_version(conn.getLibVersion()),
            hypervisor_version=_version(conn.getVersion()),
            cpu_model=_cpu_model(conn, capabilities),
            cpus=cpus,
            memory_kib=total,
            memory_free_kib=free,
            kvm=_kvm_works(conn, capabilities),
            facts=facts,
        )


def kvm_works(conn: Any) -> bool:
    """True only if guests of type kvm can be expected to run well on this host. Anything odd counts as no.

    | asked                                                                 | on a local host | on another |
    |---|---|---|
    | capabilities and domain capabilities offer kvm                        | yes             | yes        |
    | the processor has VT-x or AMD-V (x86; a KVM without them interprets)  | yes             | yes        |
    | /dev/kvm runs code at a processor's speed                             | if we may open it | cannot be |
    """
    with virt_errors():
        return _kvm_works(conn, parse(conn.getCapabilities()))


def check_access(conn: Any) -> None:
    """Raise VirtError "denied" if this connection may only look (asks for a change that cannot succeed)."""
    try:
        # Needs the same right as defining a guest (connect:write), and fails on this document without doing anything.
        conn.domainXMLToNative("qemu-argv", "<domain/>", 0)
    except libvirt.libvirtError as error:
        translated = translate(error)
        if translated.code in ("denied", "auth", "unreachable", "timeout"):
            raise translated from error


def is_local(conn: Any) -> bool:
    """True if this connection goes to this machine's own libvirt."""
    with virt_errors():
        uri = str(conn.getURI())
    return uri.startswith(LOCAL_URIS) and relay.NAME not in uri


def _version(number: int) -> str:
    return f"{number // 1_000_000}.{number // 1000 % 1000}.{number % 1000}"


def _memory_kib(conn: Any) -> tuple[int, int]:
    """Total and available memory. Caches count as available, since the host gives them up for guests."""
    try:
        stats = conn.getMemoryStats(libvirt.VIR_NODE_MEMORY_STATS_ALL_CELLS)
        return int(stats["total"]), int(stats["free"] + stats.get("buffers", 0) + stats.get("cached", 0))
    except (libvirt.libvirtError, KeyError):
        return int(conn.getInfo()[1]) * 1024, int(conn.getFreeMemory()) // 1024


def _cpu_model(conn: Any, capabilities: etree._Element) -> str:
    """The name on the processor: from SMBIOS, else from /proc/cpuinfo of a local host, else libvirt's model name."""
    with contextlib.suppress(libvirt.libvirtError, XmlRefused):  # many hosts have no SMBIOS, or no dmidecode
        for entry in parse(conn.getSysinfo(0)).iterfind("processor/entry[@name='version']"):
            name = " ".join((entry.text or "").split())
            if name and name.lower() not in ("not specified", "none", "unknown"):
                return name
    if is_local(conn):
        with contextlib.suppress(OSError):
            for line in Path("/proc/cpuinfo").read_text().splitlines():
                if line.startswith("model name"):
                    return " ".join(line.split(":", 1)[1].split())
    return str(capabilities.findtext("host/cpu/model") or capabilities.findtext("host/cpu/arch") or "")


def _operating_system(conn: Any) -> str:
    if not is_local(conn):
        return ""  # libvirt does not tell
    with contextlib.suppress(OSError):
        return platform.freedesktop_os_release().get("PRETTY_NAME", "")
    return ""


def _machines(capabilities: etree._Element, arch: str) -> list[str]:
    """Machine types that guests of the host's own architecture may have: short names (q35) first, then versions."""
    found: dict[str, bool] = {}
    for element in capabilities.iterfind("guest/arch"):
        if element.get("name") == arch:
            found |= {
                machine.text: "canonical" not in machine.attrib
                for machine in element.iterfind("machine")
                if machine.text
            }
    return sorted(found, key=lambda name: found[name])


def _domain_capabilities(conn: Any, kind: str | None) -> etree._Element | None:
    """The domain capabilities for a kind of guest, None where it is not offered."""
    try:
        return parse(conn.getDomainCapabilities(None, None, None, kind, 0))
    except libvirt.libvirtError as error:
        if translate(error).code in ("unreachable", "timeout"):
            raise
        return None


def _firmwares(conn: Any) -> list[str]:
    capabilities = _domain_capabilities(conn, None)
    if capabilities is None:
        return ["bios"]
    offered = {value.text for value in capabilities.iterfind("os/enum[@name='firmware']/value")}
    return ["bios", *(["efi"] if "efi" in offered else [])]


def _kvm_works(conn: Any, capabilities: etree._Element) -> bool:
    if capabilities.find("guest/arch/domain[@type='kvm']") is None:
        return False
    offered = _domain_capabilities(conn, "kvm")
    if offered is None or offered.findtext("domain") != "kvm":
        return False
    if not _has_extensions(conn, capabilities):
        return False
    return not is_local(conn) or _local_kvm() in ("works", "refused")


def _has_extensions(conn: Any, capabilities: etree._Element) -> bool:
    """VT-x or AMD-V among the processor's features; other architectures have no such flag."""
    cpu = capabilities.find("host/cpu")
    if cpu is None:
        return False
    if cpu.findtext("arch") not in ("x86_64", "i686"):
        return True
    try:
        expanded = conn.baselineCPU(
            [etree.tostring(cpu, encoding="unicode")], libvirt.VIR_CONNECT_BASELINE_CPU_EXPAND_FEATURES
        )
    except libvirt.libvirtError as error:
        log.info("A host does not tell its processor's features: %s", error)
        return False
    names = {
        feature.get("name") for feature in parse(expanded).iterfind("feature") if feature.get("policy") != "disable"
    }
    return bool(names & {"vmx", "svm"})


def _local_kvm() -> str:
    """What this machine's /dev/kvm does (see `virt.kvmprobe`), asked at most every half hour."""
    global _probed
    with _probe_lock:
        if _probed is None or _probed[0] + KVM_PROBE_AGAIN < time.monotonic():
            _probed = time.monotonic(), probe_kvm()
        return _probed[1]


def probe_kvm(seconds: float = KVM_PROBE_SECONDS) -> str:
    """Run the probe: "works", "refused" (we may not open /dev/kvm; libvirt may), "missing", "broken"."""
    program = Path(__file__).with_name("kvmprobe.py")
    try:
        done = subprocess.run(
            [sys.executable, "-I", str(program)], capture_output=True, text=True, timeout=seconds, check=False
        )
    except (subprocess.TimeoutExpired, OSError):
        return "broken"
    return done.stdout if done.stdout in ("works", "refused", "missing") else "broken"
