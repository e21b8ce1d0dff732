"""All that runs in a worker process: open, sample, decode, encode, and nothing else."""
