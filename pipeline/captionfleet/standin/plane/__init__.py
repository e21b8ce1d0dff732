"""A stand-in control plane: deployments that are made, come up, scale, serve and go."""
