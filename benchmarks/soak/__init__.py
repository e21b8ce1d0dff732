"""A long run over deployments that misbehave in every known way, interrupted in every known way."""
