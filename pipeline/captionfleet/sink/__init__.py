"""Keep the answer: durable lines, totals."""

from captionfleet.sink.drain import drain
from captionfleet.sink.stats import RunStatistics
from captionfleet.sink.summary import RunSummary, summarise

__all__ = ["RunStatistics", "RunSummary", "drain", "summarise"]
