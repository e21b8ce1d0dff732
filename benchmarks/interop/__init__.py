"""Real servers and proxies against the program: `make interop`, see benchmarks/README.md."""
