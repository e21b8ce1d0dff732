"""Walks the sources to their files, each once, in bounded memory (main process, in threads)."""
