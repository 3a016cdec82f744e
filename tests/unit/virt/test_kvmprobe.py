"""The probe of this machine's /dev/kvm, on whatever machine the tests run."""

from __future__ import annotations

import struct
import time
from pathlib import Path

from dashboard.virt import kvmprobe
from dashboard.virt.nodes import probe_kvm


def test_the_probe_answers_in_time_and_never_praises_a_processor_without_extensions() -> None:
    started = time.monotonic()
    answer = probe_kvm()
    assert time.monotonic() - started < 11
    flags = set(Path("/proc/cpuinfo").read_text().split())
    assert answer in ("works", "missing", "refused", "broken")
    if not flags & {"vmx", "svm"}:
        assert answer != "works"


def test_a_probe_that_gets_no_time_counts_as_broken_or_missing() -> None:
    assert probe_kvm(seconds=0.001) == "broken"


def test_the_code_fits_its_page_and_a_segment_is_as_the_kernel_wants_it() -> None:
    assert len(kvmprobe.code()) < 0x1000
    segment = kvmprobe.flat_segment(11)
    assert len(segment) == 24
    assert struct.unpack_from("<QI", segment) == (0, 0xFFFFFFFF)
