"""What the operating system gives and refuses: memory, threads, files, streams (any process)."""
