"""Wraps the operating system: memory, threads, files and standard streams (any process)."""
