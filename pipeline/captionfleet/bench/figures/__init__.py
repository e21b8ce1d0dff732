"""Compute the figures of a bench from its samples; pure."""
