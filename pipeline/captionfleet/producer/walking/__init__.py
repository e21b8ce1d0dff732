"""From sources to the files in them, each once, in bounded memory (main process, in threads)."""
