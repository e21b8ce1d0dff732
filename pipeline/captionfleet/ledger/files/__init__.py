"""Reads and writes files of the output folder: crash-safe, and trusting no content (main)."""
