"""Choose the frames that the fps filter would emit, and decode only those (worker process)."""
