"""Dedicated deployments through the control plane: made, watched, scaled, turned off."""
