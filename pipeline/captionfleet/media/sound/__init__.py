"""Turn one audio track into the mono Opus that is sent (worker process)."""
