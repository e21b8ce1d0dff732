"""Writes chat-completions requests and reads their answers; pure (main process)."""
