"""The output folder: everything that knows what its files look like (main process)."""
