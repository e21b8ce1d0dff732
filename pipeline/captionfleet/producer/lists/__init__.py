"""Lists of films: rows with paths and what is asked of each (main process)."""
