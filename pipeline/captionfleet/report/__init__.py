"""What a run did and said, as one page to look at (main process)."""
