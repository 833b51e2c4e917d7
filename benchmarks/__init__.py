"""Measurements, kept out of the tests: run with `make bench`, written down in docs/benchmarks.md."""
