"""Ask a replica: fan-out, limits, retries, protocol."""

from pipeline.sender.dispatch import send
from pipeline.sender.fleet import Fleet, open_fleet

__all__ = ["Fleet", "open_fleet", "send"]
