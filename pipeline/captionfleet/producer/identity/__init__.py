"""Identifies the clips of a file, also under another name or path (main process)."""
