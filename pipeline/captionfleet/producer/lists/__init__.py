"""Reads lists of films: text, CSV, JSON lines, Parquet (main process)."""
