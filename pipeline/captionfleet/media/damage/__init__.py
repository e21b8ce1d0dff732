"""Count what a file has lost (worker process)."""
