"""Model a fleet and a library, and search for the smallest fleet that suffices; pure."""
