"""`captionfleet deployment`, and deployments that a run creates and turns off (main process)."""
