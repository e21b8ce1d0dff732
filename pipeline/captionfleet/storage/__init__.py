"""Objects in buckets and behind web addresses: look, list, read parts (main process)."""

from captionfleet.storage.errors import ODD_NAME, StorageError
from captionfleet.storage.listing import Listed, list_objects
from captionfleet.storage.objects import ObjectFacts, look, read_range

__all__ = [
    "ODD_NAME",
    "Listed",
    "ObjectFacts",
    "StorageError",
    "list_objects",
    "look",
    "read_range",
]
