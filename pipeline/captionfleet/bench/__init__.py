"""`captionfleet bench`: measures how many requests in flight a deployment can use (main)."""
