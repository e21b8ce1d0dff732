"""The copy of an output folder in a bucket: kept while a run lasts, restored where it is lost."""
