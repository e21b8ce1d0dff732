"""The clock, the structured log, the counters of a run and its progress display (main process)."""

from captionfleet.telemetry.clock import monotonic_s, utc_now, wall_ns
from captionfleet.telemetry.display import has_width, print_above
from captionfleet.telemetry.log import configure_logging, get_log
from captionfleet.telemetry.progress import Progress, show_pictures, show_progress
from captionfleet.telemetry.steps import Steps, show_steps
from captionfleet.telemetry.tally import Tally
from captionfleet.telemetry.wording import Picture, rate_in_words

__all__ = [
    "Picture",
    "Progress",
    "Steps",
    "Tally",
    "configure_logging",
    "get_log",
    "has_width",
    "monotonic_s",
    "print_above",
    "rate_in_words",
    "show_pictures",
    "show_progress",
    "show_steps",
    "utc_now",
    "wall_ns",
]
