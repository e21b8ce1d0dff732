"""The clock, the structured log, the counters of a run and its progress (main process)."""

from captionfleet.telemetry.clock import monotonic_s, utc_now, wall_ns
from captionfleet.telemetry.display import print_above
from captionfleet.telemetry.log import configure_logging, get_log
from captionfleet.telemetry.progress import Progress, show_pictures, show_progress
from captionfleet.telemetry.tally import Tally

__all__ = [
    "Progress",
    "Tally",
    "configure_logging",
    "get_log",
    "monotonic_s",
    "print_above",
    "show_pictures",
    "show_progress",
    "utc_now",
    "wall_ns",
]
