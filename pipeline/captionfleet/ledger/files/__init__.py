"""Files that survive crashes, and that are read believing none of it (main process, in threads)."""
