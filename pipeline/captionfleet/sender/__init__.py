"""Ask a replica: fan-out, limits, retries, protocol."""

from captionfleet.sender.dispatch import send
from captionfleet.sender.fleet import Fleet, open_fleet

__all__ = ["Fleet", "open_fleet", "send"]
