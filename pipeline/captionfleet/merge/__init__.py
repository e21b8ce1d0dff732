"""`captionfleet merge`: the folders of shards as one (main process)."""
