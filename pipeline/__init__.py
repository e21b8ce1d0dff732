"""captionfleet: captions video libraries in bulk.

The names below are imported on first use: worker processes import this package too, and must
not pay for what only the main process needs.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.config import JobConfig, load_job
    from pipeline.errors import RunError
    from pipeline.run import run_job
    from pipeline.sink.stats import RunSummary

__all__ = ["JobConfig", "RunError", "RunSummary", "load_job", "run_job"]

_HOMES = {
    "JobConfig": "pipeline.config",
    "load_job": "pipeline.config",
    "RunError": "pipeline.errors",
    "run_job": "pipeline.run",
    "RunSummary": "pipeline.sink.stats",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
