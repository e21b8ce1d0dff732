"""What a captions line settles, read without parsing a million of them as JSON; pure (main)."""

from typing import Any, NamedTuple

from captionfleet.ledger.files.reading import id_in, record_of
from captionfleet.ledger.format.fingerprint import request_of

__all__ = ["Captioned", "captioned_in"]

_OWN_START = b'{"clip_id":"'
_OWN_END = b"}\n"
_ID_AT = slice(len(_OWN_START), len(_OWN_START) + 32)
_PRINT_KEY = b'","fingerprint":"'
_PRINT_KEY_AT = slice(_ID_AT.stop, _ID_AT.stop + len(_PRINT_KEY))
_PRINT_AT = slice(_PRINT_KEY_AT.stop, _PRINT_KEY_AT.stop + 16)
_STAT_KEY = b'","stat_id":"'
_PROMPT_CHARS = 17  # of a row's fingerprint: a hyphen and 16 digits
_ROW_STAT_END = _PRINT_AT.stop + _PROMPT_CHARS + len(_STAT_KEY) + 32
_QUOTE = ord('"')


class Captioned(NamedTuple):
    """What a captions line settles; no fingerprint in lines of versions that had none."""

    clip: int
    alias: int | None = None
    fingerprint: str = ""


def captioned_in(line: bytes) -> Captioned | None:
    """The clip that a line of captions.jsonl settles; None if it names none."""
    return _own(line) or _foreign(record_of(line))


def _own(line: bytes) -> Captioned | None:
    # A line as the sink writes it: parsing a million of them as JSON would take ten times longer.
    if not (line.startswith(_OWN_START) and line.endswith(_OWN_END)):
        return None
    if line[_PRINT_KEY_AT] != _PRINT_KEY:
        return None
    identity, alias = _number(line[_ID_AT]), None
    if identity is None or _number(line[_PRINT_AT]) is None:
        return None
    rest = line[_PRINT_AT.stop : _ROW_STAT_END]
    if rest.startswith(b"-"):  # a row's own prompt
        rest = rest[_PROMPT_CHARS:]
    if rest.startswith(_STAT_KEY) and rest[len(_STAT_KEY)] != _QUOTE:
        alias = _number(rest[len(_STAT_KEY) : len(_STAT_KEY) + 32])
    return Captioned(identity, alias, line[_PRINT_AT].decode("ascii", "replace"))


def _foreign(record: dict[str, Any]) -> Captioned | None:
    identity = id_in(record)
    if identity is None:
        return None
    fingerprint = record.get("fingerprint")
    known = request_of(fingerprint) if isinstance(fingerprint, str) else ""
    return Captioned(identity, id_in(record, "stat_id"), known)


def _number(digits: bytes) -> int | None:
    try:
        return int(digits, 16)
    except ValueError:
        return None
