"""Decodes and describes the media of a request (server's process)."""
