"""Which clip a file is, whatever it is called and wherever it lies (main process)."""
