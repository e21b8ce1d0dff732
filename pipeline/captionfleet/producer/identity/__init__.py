"""Decides which clip a file is, independent of its name where the job says so (main process)."""
