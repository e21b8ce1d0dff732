"""Parses headers of coded packets, without decoding them; pure (worker process)."""
