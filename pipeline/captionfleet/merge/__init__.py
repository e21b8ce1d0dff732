"""`captionfleet merge`: joins the output folders of shards (main process)."""
