"""Open untrusted files and read their packets on one clock (worker process)."""
