"""Calls the control plane over HTTP (main process)."""
