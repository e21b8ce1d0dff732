"""Measure deployments: how much they take, and from where on more in flight brings no more."""
