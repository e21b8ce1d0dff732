"""What is there to caption: walk, plan, resume."""

from pipeline.producer.produce import produce
from pipeline.producer.replacing import finds_replaceable
from pipeline.producer.resume import Settled, load_settled
from pipeline.producer.sources import check_sources

__all__ = ["Settled", "check_sources", "finds_replaceable", "load_settled", "produce"]
