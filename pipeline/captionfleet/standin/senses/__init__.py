"""See and hear the media of a request (server's process)."""
