"""`captionfleet export`: captions in the shapes that other programs take (main process)."""
