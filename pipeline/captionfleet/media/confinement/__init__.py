"""Restricts a worker process: Landlock, a filter of system calls, limits (worker process)."""
