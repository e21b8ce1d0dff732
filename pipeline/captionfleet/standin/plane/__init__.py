"""A stand-in control plane, whose deployments start, scale, serve and stop (server's process)."""
