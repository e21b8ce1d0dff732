"""Writes files that survive crashes, and reads them without trust (main process, in threads)."""
