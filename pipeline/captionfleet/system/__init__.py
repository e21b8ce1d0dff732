"""Access to the operating system: memory, threads, files, streams (any process)."""
