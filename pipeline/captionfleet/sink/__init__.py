"""Keep the answer: durable lines, totals."""

from captionfleet.sink.drain import drain
from captionfleet.sink.stats import RunStatistics, RunSummary, summarise

__all__ = ["RunStatistics", "RunSummary", "drain", "summarise"]
