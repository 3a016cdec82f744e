"""Measures the real processes, every figure beside a floor or a peer measured in the same run; see docs/benchmarks.md."""
