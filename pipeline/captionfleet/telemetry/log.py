"""Sets up the structured log: JSON lines for programs, or warnings for people (main process)."""

import logging
import os
import sys
from typing import Any

import structlog

from captionfleet.messages import for_terminal
from captionfleet.telemetry.display import print_above

__all__ = ["configure_logging", "get_log"]

_PASSING = "is_passing"


def configure_logging(*, as_json: bool = False, quiet: bool = False) -> None:
    """Send the structured log to stderr: JSON lines, or warnings for people.

    With `quiet`, people do not see warnings of temporary conditions (`is_passing=True`), such as a
    deployment that takes no requests for a while.
    """
    colors = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    console = structlog.dev.ConsoleRenderer(colors=colors, pad_event_to=0, pad_level=False)
    renderers: list[structlog.typing.Processor] = (
        [structlog.processors.JSONRenderer()] if as_json else [_escaped, console]
    )
    structlog.configure(
        processors=[
            _without_passing if quiet and not as_json else _unmarked,
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *renderers,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.INFO if as_json else logging.WARNING
        ),
        logger_factory=_Printing,
    )


class _Printing:
    """Prints log lines above the progress bar."""

    def __init__(self, *_: Any) -> None:
        pass

    def msg(self, message: str) -> None:
        print_above(message, sys.stderr)

    debug = info = warning = error = critical = msg


def _unmarked(
    _log: object, _level: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    event.pop(_PASSING, None)
    return event


def _without_passing(
    _log: object, _level: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    if event.pop(_PASSING, False):
        raise structlog.DropEvent
    return event


def _escaped(
    _log: object, _level: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Escape control characters: events may hold names of files and words of servers."""
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = for_terminal(value)
    return event


def get_log() -> structlog.typing.FilteringBoundLogger:
    """The run's log; bind values by name, never format them into the event.

    In a program that has not configured structlog, configures it as `configure_logging` does: by
    default it would print to standard output.
    """
    if not structlog.is_configured():
        configure_logging()
    log: structlog.typing.FilteringBoundLogger = structlog.get_logger("captionfleet")
    return log
