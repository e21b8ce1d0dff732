"""Defines the lines of the output, and the fingerprint of a request; pure (main process)."""
