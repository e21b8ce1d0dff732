"""Bring a run's deployments up, follow them, and turn them off (main process)."""
