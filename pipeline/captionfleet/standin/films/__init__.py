"""Generates the films of the demo, the tests and the benchmarks (any process)."""
