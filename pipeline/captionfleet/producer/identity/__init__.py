"""Computes the identity of a clip: by path, or by content (main process)."""
