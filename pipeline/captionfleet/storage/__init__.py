"""Objects in buckets and behind web addresses: look, list, read parts (main process)."""

from captionfleet.storage.errors import StorageError
from captionfleet.storage.objects import Listed, ObjectFacts, list_objects, look, read_range

__all__ = ["Listed", "ObjectFacts", "StorageError", "list_objects", "look", "read_range"]
