"""Observes a run beside its stages: stop rules, signals, metrics, timeline (main process)."""
