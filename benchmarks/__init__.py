"""What this software costs, each figure beside a limit measured in the same run; see docs/benchmarks.md."""
