"""Brings a run's deployments up, follows their replicas, and turns them off (main process)."""
