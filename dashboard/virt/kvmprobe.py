"""Run a few million instructions in a virtual CPU of this machine's own /dev/kvm; a program of its own, so that it may hang.

`python kvmprobe.py` prints one word: "works", "missing", "refused" (this account may not open it) or "broken". A
/dev/kvm that opens and even runs code, but interprets it a thousand times too slowly, uses up its second of processor
time: the kernel ends it, and its caller takes that for broken.
"""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import platform
import resource
import struct
import sys

API_VERSION = 12
KVM_GET_API_VERSION, KVM_CREATE_VM, KVM_GET_VCPU_MMAP_SIZE = 0xAE00, 0xAE01, 0xAE04
KVM_CREATE_VCPU, KVM_RUN, KVM_SET_USER_MEMORY_REGION = 0xAE41, 0xAE80, 0x4020AE46
KVM_SET_REGS, KVM_GET_SREGS, KVM_SET_SREGS = 0x4090AE82, 0x8138AE83, 0x4138AE84
EXIT_IO, EXIT_HLT = 2, 5
CODE_AT = 0x1000
CPU_SECONDS = 1
TURNS = 20_000_000
"""About 10 ms on a processor, minutes where each instruction is interpreted."""
SEGMENTS, CR0 = 6, 224
"""In struct kvm_sregs: cs, ds, es, fs, gs and ss come first, 24 bytes each; then where cr0 is."""


def code() -> bytes:
    """32-bit code that adds up the numbers from TURNS to 1, tells the sum on an I/O port, and halts."""
    return (
        b"\xb9" + struct.pack("<I", TURNS)  # mov ecx, TURNS
        + b"\x31\xc0"  # xor eax, eax
        + b"\x01\xc8\x49\x75\xfb"  # 1: add eax, ecx; dec ecx; jnz 1b
        + b"\x66\xba\xf8\x03\xef"  # mov dx, 0x3f8; out dx, eax
        + b"\xf4"  # hlt
    )  # fmt: skip


def flat_segment(kind: int) -> bytes:
    """struct kvm_segment: all 4 GiB, 32 bits, ring 0."""
    return struct.pack("<QIH10B", 0, 0xFFFFFFFF, 0x8 if kind == 11 else 0x10, kind, 1, 0, 1, 1, 0, 1, 0, 0, 0)


def prepare(vcpu: int) -> None:
    """32-bit protected mode without paging, which every processor with VMX or SVM runs by itself."""
    sregs = bytearray(312)
    fcntl.ioctl(vcpu, KVM_GET_SREGS, sregs, True)
    sregs[: SEGMENTS * 24] = flat_segment(11) + flat_segment(3) * (SEGMENTS - 1)
    struct.pack_into("<Q", sregs, CR0, struct.unpack_from("<Q", sregs, CR0)[0] | 1)
    fcntl.ioctl(vcpu, KVM_SET_SREGS, sregs)
    registers = [0] * 18
    registers[16], registers[17] = CODE_AT, 2  # rip, rflags
    fcntl.ioctl(vcpu, KVM_SET_REGS, struct.pack("<18Q", *registers))


def run(kvm: int, vm: int, vcpu: int) -> bool:
    """True if the guest told the right sum and then halted."""
    memory = mmap.mmap(-1, 0x1000)
    memory.write(code())
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    fcntl.ioctl(vm, KVM_SET_USER_MEMORY_REGION, struct.pack("<IIQQQ", 0, 0, CODE_AT, 0x1000, address))
    shared = mmap.mmap(vcpu, fcntl.ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0))
    prepare(vcpu)
    told = None
    for _ in range(2):
        fcntl.ioctl(vcpu, KVM_RUN, 0)
        (reason,) = struct.unpack_from("<I", shared, 8)
        if reason == EXIT_HLT:
            break
        if reason != EXIT_IO:
            return False
        # struct kvm_run at 32: direction, size (bytes), port (2 bytes), count (4), offset of the data (8)
        _direction, size, port, _count, offset = struct.unpack_from("<BBHIQ", shared, 32)
        if (size, port) == (4, 0x3F8):
            (told,) = struct.unpack_from("<I", shared, offset)
    return bool(reason == EXIT_HLT and told == TURNS * (TURNS + 1) // 2 % 2**32)


def main() -> str:
    """The word for what this machine's /dev/kvm does."""
    try:
        kvm = os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC)
    except PermissionError:
        return "refused"
    except OSError:
        return "missing"
    try:
        if fcntl.ioctl(kvm, KVM_GET_API_VERSION, 0) != API_VERSION:
            return "broken"
        vm = fcntl.ioctl(kvm, KVM_CREATE_VM, 0)
        vcpu = fcntl.ioctl(vm, KVM_CREATE_VCPU, 0)
        if platform.machine() != "x86_64":
            return "works"  # there is no code of ours for other processors
        return "works" if run(kvm, vm, vcpu) else "broken"
    except OSError:
        return "broken"


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    sys.stdout.write(main())
