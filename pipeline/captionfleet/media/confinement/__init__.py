"""What a worker process may still do: Landlock, system calls, limits (worker process)."""
