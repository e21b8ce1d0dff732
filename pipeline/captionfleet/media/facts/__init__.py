"""Reads rotation, crop and colours of a video from its container and frames (worker process)."""
