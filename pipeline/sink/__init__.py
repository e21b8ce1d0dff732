"""Keep the answer: durable lines, totals."""

from pipeline.sink.drain import drain
from pipeline.sink.jsonl import Ledger, open_ledger
from pipeline.sink.stats import RunStatistics, RunSummary, summarise

__all__ = ["Ledger", "RunStatistics", "RunSummary", "drain", "open_ledger", "summarise"]
