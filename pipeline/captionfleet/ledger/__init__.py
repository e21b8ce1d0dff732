"""The output folder: the only code that knows the formats of its files (main process)."""
