"""The structured log: JSON lines, or for people the warnings alone (main process)."""

import logging
import sys

import structlog

from captionfleet.messages import for_terminal

__all__ = ["configure_logging", "get_log"]


def configure_logging(*, as_json: bool = False) -> None:
    """Send the structured log to stderr: JSON lines, or for people the warnings alone."""
    colors = sys.stderr.isatty()
    renderers: list[structlog.typing.Processor] = (
        [structlog.processors.JSONRenderer()]
        if as_json
        else [_escaped, structlog.dev.ConsoleRenderer(colors=colors, pad_event_to=0)]
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *renderers,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.INFO if as_json else logging.WARNING
        ),
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
    )


def _escaped(
    _log: object, _level: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """What is told may hold names of files, and what servers said."""
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = for_terminal(value)
    return event


def get_log() -> structlog.typing.FilteringBoundLogger:
    """The run's log; values are bound by name, never formatted into the event.

    In a program that did not set up structlog it is set up as by `configure_logging`: left alone
    it would print to standard output.
    """
    if not structlog.is_configured():
        configure_logging()
    log: structlog.typing.FilteringBoundLogger = structlog.get_logger("captionfleet")
    return log
