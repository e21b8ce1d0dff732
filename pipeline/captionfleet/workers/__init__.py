"""The second stage: prepares clips in worker processes, and keeps their media (main process)."""
