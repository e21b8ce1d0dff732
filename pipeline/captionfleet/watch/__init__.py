"""Watch a run from beside it: stop rules, signals, metrics and the timeline (main process)."""
