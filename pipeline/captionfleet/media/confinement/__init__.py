"""Restricts what a worker process may do: Landlock, seccomp, resource limits (worker process)."""
