"""Defines the tables of the job file: keys, defaults and bounds (main process)."""
