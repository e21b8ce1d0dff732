"""Defines the values that travel between the stages: frozen, standard library only (any)."""

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
