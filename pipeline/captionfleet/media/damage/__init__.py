"""Detects and counts what a damaged file has lost (worker process)."""
