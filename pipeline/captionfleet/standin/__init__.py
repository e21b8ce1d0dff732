"""A stand-in server that imitates a deployment, and generated films for tests and demo."""
