"""`captionfleet plan`: predicts time, cost and fleet size for a library (main process)."""
