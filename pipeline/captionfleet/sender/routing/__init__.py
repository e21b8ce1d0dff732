"""Chooses a deployment for each request, and decides what follows its end; pure (main process)."""
