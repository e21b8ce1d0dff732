"""Accesses objects in buckets and behind URLs: look up, list, read, write (main process)."""

from captionfleet.storage.errors import ODD_NAME, StorageError
from captionfleet.storage.listing import Listed, list_objects
from captionfleet.storage.objects import ObjectFacts, look, read_range
from captionfleet.storage.writing import PART_BYTES, read_object, remove_object, write_object

__all__ = [
    "ODD_NAME",
    "PART_BYTES",
    "Listed",
    "ObjectFacts",
    "StorageError",
    "list_objects",
    "look",
    "read_object",
    "read_range",
    "remove_object",
    "write_object",
]
