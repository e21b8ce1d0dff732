"""Where the scenes of a film change (worker process)."""
