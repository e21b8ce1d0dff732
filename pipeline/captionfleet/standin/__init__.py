"""A stand-in deployment and generated films, for the demo, the tests and the benchmarks."""
