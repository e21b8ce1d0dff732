"""The first stage: finds files in the sources, and makes the clips that need captions (main)."""

from captionfleet.producer.counting import count_ahead
from captionfleet.producer.films import Films
from captionfleet.producer.produce import produce
from captionfleet.producer.replacing import finds_replaceable
from captionfleet.producer.sources import check_sources, is_folder
from captionfleet.producer.walking.apart import check_apart, check_store_apart

__all__ = [
    "Films",
    "check_apart",
    "check_sources",
    "check_store_apart",
    "count_ahead",
    "finds_replaceable",
    "is_folder",
    "produce",
]
