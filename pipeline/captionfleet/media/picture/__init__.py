"""Turn decoded frames into the small H.264 video that is sent (worker process)."""
