"""Measures inkev beside yardsticks on the same machine in the same run; `docs/benchmarks.md` says how."""
