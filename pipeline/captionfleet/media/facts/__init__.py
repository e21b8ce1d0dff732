"""What container and frames say of the picture: turn, crop, colours (worker process)."""
