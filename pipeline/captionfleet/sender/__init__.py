"""The third stage: sends prepared clips to deployments, with limits, retries and races (main)."""

from captionfleet.sender.dispatch import send
from captionfleet.sender.fleet import Fleet, SenderTuning, open_fleet

__all__ = ["Fleet", "SenderTuning", "open_fleet", "send"]
