"""Make each clip sendable: decode, sample, encode, in worker processes."""
