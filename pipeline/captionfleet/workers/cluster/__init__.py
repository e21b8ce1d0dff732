"""Worker processes on the nodes of a Ray cluster; sender and sink stay where the run is."""
