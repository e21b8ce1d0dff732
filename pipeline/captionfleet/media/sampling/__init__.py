"""Chooses the frames that FFmpeg's fps filter would emit, and decodes only those (worker)."""
