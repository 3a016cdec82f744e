"""`python -m tests.bench [part …] [--quick] [--output FILE]`: measure, print a table, write var/bench.json."""

from __future__ import annotations

import argparse
import importlib
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

from tests.bench import report
from tests.bench.measure import ROOT, BenchError, Run, clean_environment, say

PARTS = {
    "memory": "memory of each idle process",
    "pixel": "an outside change until it is painted in a browser",
    "click": "a click until the guest runs, beside virsh",
    "bulk": "fifty guests started at once, beside a shell loop of virsh",
    "console": "the screen's way through our gateway, beside websockify",
    "list": "the list page with 100, 1,000 and 10,000 guests",
    "monitor": "a full comparison of 10,000 guests, beside a bare reading",
    "dark": "pages while one of twenty hosts is dark",
    "fleet": "one monitor, 200 hosts, 10,000 guests: CPU, memory, lag of events",
    "crowd": "500 live browsers, and how they come back",
    "peer": "WebVirtCloud beside kvmweb, on one libvirt",
}
"""In the order in which they run: memory is measured before the stack has been used."""

PEER = "BENCH_PEER_"


def main() -> int:
    """Run the wanted parts."""
    wanted = arguments()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended
    peer = {name.removeprefix(PEER): value for name, value in os.environ.items() if name.startswith(PEER)}
    for name in os.environ.keys() - clean_environment().keys():
        del os.environ[name]
    figures: list[report.Figure] = []
    failed = []
    folder = Path(tempfile.mkdtemp(prefix="kvmweb-bench-", dir="/tmp"))
    run = Run(quick=wanted.quick, folder=folder, peer=peer)
    began, load = time.monotonic(), os.getloadavg()[0]
    try:
        with run.ending:
            for name in [name for name in PARTS if not wanted.parts or name in wanted.parts]:
                say(f"{time.monotonic() - began:4.0f} s  {PARTS[name]}")
                try:
                    figures += importlib.import_module(f"tests.bench.{name}_part").measure(run)
                except (BenchError, OSError, AssertionError):
                    traceback.print_exc()
                    failed.append(name)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(report.table(figures))
    report.write(figures, wanted.output)
    print(f"\n{len(figures)} figures in {time.monotonic() - began:.0f} s; {wanted.output}")
    print(f"Load average before {load:.1f}, after {os.getloadavg()[0]:.1f}, on {os.cpu_count()} cores.")
    if failed:
        print(f"Could not be measured: {', '.join(failed)}")
    return 1 if failed else 0


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="part", help=f"{', '.join(PARTS)}; all by default")
    parser.add_argument("--quick", action="store_true", help="fewer repeats and smaller fleets: less than two minutes")
    parser.add_argument("--output", type=Path, default=ROOT / "var" / "bench.json")
    wanted = parser.parse_args()
    if unknown := set(wanted.parts) - PARTS.keys():
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    return wanted


if __name__ == "__main__":
    sys.exit(main())
