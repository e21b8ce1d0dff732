"""Reads lists of films: rows with paths, windows, prompts and metadata (main process)."""
