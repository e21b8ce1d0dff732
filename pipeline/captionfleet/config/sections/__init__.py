"""The tables of the job file: every key, its default and its bounds (main process)."""
