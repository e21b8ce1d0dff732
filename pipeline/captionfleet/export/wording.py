"""Edits a caption for export: prefix, preamble, length, characters; pure (main process)."""

import re

from captionfleet.config import CaptionConfig

__all__ = ["plain", "worded"]

# Characters that would break files, cells and lines.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_NOUN = (
    r"(?:short |brief |provided |given )?"
    r"(?:video(?: clip| footage| sequence)?|clip|footage|film|scene|recording|sequence)"
)
_SHOWS = (
    r"(?:shows|depicts|features|captures|presents|displays|showcases|portrays|illustrates"
    r"|documents|(?:begins|opens|starts) (?:with|by showing)|is of|is about)"
)
_TEXT = "(?:description|caption|summary)"
_OF_IT = rf"(?: (?:of|for) (?:the|this|your) {_NOUN})?"
_PREAMBLES = [
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"(?:sure|certainly|of course|okay|ok)[,.!]+\s+(?=here|the|this|in )",
        rf"(?:here is|here's|this is|below is) (?:a |an |the )?(?:\w+ )?{_TEXT}{_OF_IT}\s*[:.]\s*",
        r"(?:\*\*)?(?:video )?(?:caption|description|summary)\s*:(?:\*\*)?\s*",
        rf"(?:the|this) {_NOUN} {_SHOWS}(?: that)?\s+",
        rf"(?:in|throughout) (?:the|this) {_NOUN},?\s+(?:we (?:can )?see\s+)?",
        rf"(?:this is )?(?:a|an) {_NOUN} (?:of|showing|that shows|depicting|featuring)\s+",
        r"we (?:can )?see\s+",
    )
]
_MOST_PREAMBLES = 4
_SENTENCE_END = re.compile(
    # Possessive, and from the first of several marks, so that a megabyte of dots takes one pass.
    r"(?<![.!?\u2026])[.!?\u2026]++[\"')\]\u201d\u2019\u00bb]*+(?=\s)|[\u3002\uff01\uff1f]|\n++"
)
_TITLE_CHARS = 8
_TITLES = ("mr.", "mrs.", "ms.", "dr.", "st.", "vs.", "e.g.", "i.e.")


def plain(text: str) -> str:
    r"""The text with `\n` for every line end, and without control characters other than tabs."""
    return _CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def worded(caption: str, wording: CaptionConfig) -> str:
    """The caption as exported."""
    text = _without_preamble(caption) if wording.strip_preamble else caption
    if wording.single_line:
        text = " ".join(text.split())
    if wording.max_chars is not None:
        room = wording.max_chars - len(wording.prefix) - len(wording.suffix)
        text = _shortened(text, room)
    return f"{wording.prefix}{text}{wording.suffix}"


def _without_preamble(text: str) -> str:
    rest = text.lstrip()
    for _ in range(_MOST_PREAMBLES):
        found = next(filter(None, (pattern.match(rest) for pattern in _PREAMBLES)), None)
        if found is None or not rest[found.end() :].strip():
            break
        rest = rest[found.end() :]
    if rest == text.lstrip():
        return text
    return rest[:1].upper() + rest[1:]


def _shortened(text: str, most: int) -> str:
    """As many whole sentences as fit, else words, else characters."""
    if len(text) <= most:
        return text
    ends = [found.end() for found in _SENTENCE_END.finditer(text, 0, most + 1)]
    for end in reversed(ends):
        if end <= most and not _is_title(text[max(0, end - _TITLE_CHARS) : end]):
            return text[:end].rstrip()
    space = text.rfind(" ", 0, most + 1)
    return text[: space if space > 0 else most].rstrip()


def _is_title(text: str) -> bool:
    return text.lower().rpartition(" ")[2].endswith(_TITLES)
