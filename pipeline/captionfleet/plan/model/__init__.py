"""Models a fleet and a library, and searches for the smallest sufficient fleet; pure (main)."""
