#!/bin/bash
# Build the guest that costs nothing: a boot sector that counts seconds on its screen and serial line.
#   build-idle.sh OUT.raw
set -euo pipefail
HERE=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
for t in as ld truncate; do command -v $t >/dev/null || { echo "build-idle: missing: $t (Debian: binutils)" >&2; exit 1; }; done
T=$(mktemp -d); trap 'rm -r "$T"' EXIT
as --32 -o "$T/o" "$HERE/idle.S"
ld -m elf_i386 -Ttext 0x7c00 --oformat binary -o "$T/b" "$T/o"
truncate -s 4M "$T/b"
mv "$T/b" "$1"
