"""Copies the output folder to a bucket during a run, and restores a lost one (main process)."""
