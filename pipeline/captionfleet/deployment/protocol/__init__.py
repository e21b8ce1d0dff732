"""Write calls to the control plane and read its answers; pure."""
