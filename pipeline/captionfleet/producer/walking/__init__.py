"""Walks sources and yields each file once, in bounded memory (main process, in threads)."""
