"""Turns decoded frames into the small H.264 video or JPEGs that are sent (worker process)."""
