"""Builds calls to the control plane and parses its answers; pure (main process)."""
