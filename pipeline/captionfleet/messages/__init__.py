"""Defines the values that travel between the stages: frozen, standard library only (any).

Outcomes are imported on first use: worker processes import this package, and need none.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from captionfleet.messages.clip import NO_ROW, UNKNOWN_FILM, Clip, Film, Row, Source
from captionfleet.messages.limits import (
    MAX_ANSWER_BYTES,
    MAX_LINE_BYTES,
    base64_bytes,
    for_terminal,
    printable,
)
from captionfleet.messages.media import (
    MEDIA_ENDINGS,
    Damage,
    Form,
    MediaFacts,
    MediaSpec,
    ReadyClip,
)

if TYPE_CHECKING:
    from captionfleet.messages.outcome import (
        Adopted,
        Attempt,
        Caption,
        Failure,
        Latency,
        Measured,
        Note,
        Outcome,
        SameFile,
        Usage,
    )

__all__ = [
    "MAX_ANSWER_BYTES",
    "MAX_LINE_BYTES",
    "MEDIA_ENDINGS",
    "NO_ROW",
    "UNKNOWN_FILM",
    "Adopted",
    "Attempt",
    "Caption",
    "Clip",
    "Damage",
    "Failure",
    "Film",
    "Form",
    "Latency",
    "Measured",
    "MediaFacts",
    "MediaSpec",
    "Note",
    "Outcome",
    "ReadyClip",
    "Row",
    "SameFile",
    "Source",
    "Usage",
    "base64_bytes",
    "for_terminal",
    "printable",
]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("captionfleet.messages.outcome"), name)
