"""Talk to the control plane over HTTP (main process)."""
