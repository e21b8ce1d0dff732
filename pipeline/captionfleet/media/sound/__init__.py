"""Turns one audio track into the mono sound that is sent (worker process)."""
