"""`captionfleet export`: writes captions in formats of other programs (main process)."""
