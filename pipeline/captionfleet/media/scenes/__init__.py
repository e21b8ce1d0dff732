"""Finds scene changes in a film (worker process)."""
