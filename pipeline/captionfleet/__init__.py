"""captionfleet: captions video libraries in bulk with omni-modal models.

Names are imported on first use: worker processes import this package too, and would otherwise load
everything that only the main process needs.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from captionfleet.config import JobConfig, load_job
    from captionfleet.errors import RunError
    from captionfleet.messages import Caption, Failure
    from captionfleet.run import run_job
    from captionfleet.sink.summary import RunSummary
    from captionfleet.streaming import caption

__all__ = [
    "Caption",
    "Failure",
    "JobConfig",
    "RunError",
    "RunSummary",
    "caption",
    "load_job",
    "run_job",
]

_HOMES = {
    "JobConfig": "captionfleet.config",
    "load_job": "captionfleet.config",
    "RunError": "captionfleet.errors",
    "Caption": "captionfleet.messages",
    "Failure": "captionfleet.messages",
    "caption": "captionfleet.streaming",
    "run_job": "captionfleet.run",
    "RunSummary": "captionfleet.sink.summary",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
