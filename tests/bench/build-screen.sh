#!/bin/bash
# Build the guest whose screen never rests: build-screen.sh OUT.raw
set -euo pipefail
HERE=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
for t in as ld truncate; do command -v $t >/dev/null || { echo "build-screen: missing: $t (Debian: binutils)" >&2; exit 1; }; done
T=$(mktemp -d); trap 'rm -r "$T"' EXIT
as --32 -o "$T/o" "$HERE/screen.S"
ld -m elf_i386 -Ttext 0x7c00 --oformat binary -o "$T/b" "$T/o"
truncate -s 4M "$T/b"
mv "$T/b" "$1"
