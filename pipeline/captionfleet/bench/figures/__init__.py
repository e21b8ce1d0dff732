"""Computes the results of a bench from its samples; pure (main process)."""
