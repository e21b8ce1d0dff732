"""Read what a coded packet says of itself, without decoding it; pure (worker process)."""
