"""`captionfleet check`: tests a job before anything is paid for (main process)."""
