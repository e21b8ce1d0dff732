"""Runs worker processes on the nodes of a Ray cluster; sender and sink stay local (main)."""
