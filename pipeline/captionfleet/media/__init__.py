"""All code that runs in a worker process: opens, samples, decodes and encodes clips."""
