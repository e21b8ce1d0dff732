"""Turns captions into subtitles: a cue for each window, or each event in it; pure (main)."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from captionfleet.export.wording import plain

__all__ = ["Cue", "cues_of", "srt", "vtt"]

_CLOCK = r"(?:\d{1,3}:)?\d{1,2}:\d{2}(?:[.,]\d{1,3})?"
_SECONDS = r"\d+(?:\.\d+)? ?s(?:ec(?:onds?)?)?\b"
_TIME = rf"(?:{_CLOCK}|{_SECONDS})"
_DASH = r"(?:-|\u2013|\u2014)"
_EVENT = re.compile(
    rf"^[\s*\u2022-]*[\[(<]?({_TIME})(?:\s*(?:{_DASH}|-->|to)\s*({_TIME}))?[\])>]?\**\s*"
    rf"(?::|{_DASH})?\s*(\S.*)$"
)
_MARKUP = re.compile(r"<(?=[A-Za-z/!])|\{(?=\\)")
_MOST_EVENTS = 1000
_SLACK_S = 1.0  # a model that sees one frame per second rounds times


@dataclass(frozen=True, slots=True)
class Cue:
    """A text on the film's timeline, in seconds."""

    start_s: float
    end_s: float
    text: str


def cues_of(caption: str, start_s: float, end_s: float) -> list[Cue]:
    """The cues of one window; times in its caption count from the window's start.

    Times that do not increase, or that are outside of the window, count as text.
    """
    events = _events(caption)
    length_s = end_s - start_s
    times = [begin for begin, _, _ in events]
    is_timeline = times == sorted(times) and all(
        time_s <= length_s + _SLACK_S for begin, end, _ in events for time_s in (begin, end or 0.0)
    )
    if not events or not is_timeline:
        return [Cue(start_s, end_s, caption)]
    followers = [*times[1:], length_s]
    cues = []
    for (begin, end, text), follower in zip(events, followers, strict=True):
        until = end if end is not None and end > begin else max(follower, begin)
        first_s = start_s + min(begin, length_s)
        cues.append(Cue(first_s, max(first_s, start_s + min(until, length_s)), text))
    return [cue for cue in cues if cue.end_s > cue.start_s] or [Cue(start_s, end_s, caption)]


def _events(caption: str) -> list[tuple[float, float | None, str]]:
    """Start, end and text of each line that begins with a time; later lines belong to it."""
    events: list[tuple[float, float | None, list[str]]] = []
    has_times = False
    for line in filter(None, map(str.strip, caption.splitlines())):
        found = _EVENT.match(line) if len(events) < _MOST_EVENTS else None
        if found is not None:
            has_times = True
            end = None if found[2] is None else _seconds(found[2])
            events.append((_seconds(found[1]), end, [found[3]]))
        elif events:
            events[-1][2].append(line)
        else:
            events.append((0.0, None, [line]))
    return [(begin, end, "\n".join(lines)) for begin, end, lines in events] if has_times else []


def _seconds(text: str) -> float:
    if ":" not in text:
        return float(re.match(r"[\d.]+", text)[0])  # type: ignore[index] # _SECONDS matched
    total = 0.0
    for part in text.replace(",", ".").split(":"):
        total = total * 60 + float(part)
    return total


def srt(cues: Iterable[Cue]) -> str:
    r"""SubRip; a blank line, an arrow or a control character in a text would end its cue.

    Players interpret `<b>` and `{\an8}` as markup, which SubRip cannot escape, so similar
    characters replace them.
    """
    blocks = (
        f"{number}\n{_clock(cue.start_s, ',')} --> {_clock(cue.end_s, ',')}\n"
        f"{_unmarked(_body(cue.text))}\n"
        for number, cue in enumerate(cues, 1)
    )
    return "\n".join(blocks)


def vtt(cues: Iterable[Cue]) -> str:
    """WebVTT, in which `&`, `<` and `>` are written as entities."""
    blocks = (
        f"{_clock(cue.start_s, '.')} --> {_clock(cue.end_s, '.')}\n{_escaped(_body(cue.text))}\n"
        for cue in cues
    )
    return "\n".join(["WEBVTT\n", *blocks])


def _body(text: str) -> str:
    lines = (line.strip() for line in plain(text).splitlines())
    return "\n".join(line for line in lines if line).replace("-->", "→") or "…"


def _unmarked(text: str) -> str:
    return _MARKUP.sub(lambda found: "\u2039" if found[0] == "<" else "{ ", text)


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _clock(seconds: float, point: str) -> str:
    minutes, milliseconds = divmod(round(seconds * 1000), 60_000)
    hours, minutes = divmod(minutes, 60)
    whole, thousandths = divmod(milliseconds, 1000)
    return f"{hours:02}:{minutes:02}:{whole:02}{point}{thousandths:03}"
