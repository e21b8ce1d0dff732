"""`captionfleet report`: one HTML page with a run's captions, frames and figures (main process)."""
