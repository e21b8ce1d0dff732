"""What a library will take, from what a run or a benchmark took (main process)."""
