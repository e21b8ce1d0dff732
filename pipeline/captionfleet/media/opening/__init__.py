"""Opens untrusted files, and reads their packets with consistent timestamps (worker process)."""
