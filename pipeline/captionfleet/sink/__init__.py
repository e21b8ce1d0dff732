"""The last stage: writes a line for every outcome, and counts it for the run summary (main)."""

from captionfleet.sink.drain import drain, writing_rest
from captionfleet.sink.stats import RunStatistics
from captionfleet.sink.summary import RunSummary, summarise

__all__ = ["RunStatistics", "RunSummary", "drain", "summarise", "writing_rest"]
