"""Defines test clips with known content, and the question about them; pure (main process)."""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

__all__ = ["QUESTION", "SHORT_FRAMES", "CanaryClip", "Seen", "Sound", "canary_clips", "read_answer"]

QUESTION = (
    "Look at all of this video. A white square stands in one corner, and large digits appear in "
    "the middle, one after the other. Reply with exactly one line and nothing else, in this "
    "form: DIGITS=the digits in the order in which they appear; CORNER=top-left or top-right or "
    "bottom-left or bottom-right; SOUND=yes if anything can be heard, no if there is no sound or "
    "only silence"
)

Sound = Literal["none", "speech", "silence"]

_DIGITS = "2345679"  # digits that look different upside down and mirrored, unlike 0, 1 and 8
SHORT_FRAMES = 8
_MOST_FRAMES = 120
_MOST_CHARS, _FEW_CHARS = 2000, 100


@dataclass(frozen=True, slots=True)
class CanaryClip:
    """A clip to generate; `shown` holds digits, each with its first frame and the first without it.

    `seconds` is its length and that of its sound, even if only some of its frames are sent.
    """

    name: str
    frames: int
    sound: Sound
    shown: tuple[tuple[str, int, int], ...]
    seconds: int

    @property
    def digits(self) -> str:
        """The digits that a server should read."""
        return "".join(digit for digit, _, _ in self.shown)

    def with_frames(self, chosen: Sequence[int]) -> "CanaryClip":
        """The clip as it appears if only these frames are sent."""
        spans = (
            (digit, sum(at < first for at in chosen), sum(at < end for at in chosen))
            for digit, first, end in self.shown
        )
        shown = tuple((digit, first, end) for digit, first, end in spans if first < end)
        return replace(self, frames=len(chosen), shown=shown)


@dataclass(frozen=True, slots=True)
class Seen:
    """A server's report on one clip; None for anything that it did not say.

    `is_cut` means that the answer hit the token limit before it said anything.
    """

    prompt_tokens: int | None
    digits: str = ""
    corner: str = ""
    hears: bool | None = None
    is_cut: bool = False


def canary_clips(most_frames: int, dice: random.Random) -> tuple[CanaryClip, ...]:
    """A short clip without sound, the same with a babbling voice, and a long one with silence.

    Two of them differ in one respect only, so that the tokens of text, frames and sound can be
    separated. The digits are random: a server can know them only by seeing them.

    Args:
        most_frames: The frames of the job's longest clip.
        dice: The random source of the digits.
    """
    frames = max(2 * SHORT_FRAMES, min(most_frames, _MOST_FRAMES) // 2 * 2)
    short = _placed("".join(dice.sample(_DIGITS, 3)), SHORT_FRAMES)
    long = _placed("".join(dice.sample(_DIGITS, 5)), frames)
    return (
        CanaryClip("short", SHORT_FRAMES, "none", short, SHORT_FRAMES),
        CanaryClip("voice", SHORT_FRAMES, "speech", short, SHORT_FRAMES),
        CanaryClip("long", frames, "silence", long, frames),
    )


def _placed(digits: str, frames: int) -> tuple[tuple[str, int, int], ...]:
    """Digits evenly spread, each for two pairs of frames if there is room, else for one."""
    pairs = frames // 2
    step = pairs / len(digits)
    hold = 4 if step >= 3 else 2  # noqa: PLR2004 - two pairs, and one without a digit
    firsts = [2 * int((place + 0.5) * step) for place in range(len(digits))]
    return tuple((digit, at, at + hold) for digit, at in zip(digits, firsts, strict=True))


def read_answer(text: str, prompt_tokens: int | None, *, is_cut: bool = False) -> Seen:
    """Parse a model's line in any spelling; `is_cut` if it ended at the token limit."""
    digits = _last(r"DIGITS\W*((?:\d[\s,.-]*)+)", text)
    if not digits and len(text) < _FEW_CHARS:
        digits = "".join(re.findall(r"\d", text))  # a terse model may omit the names
    corner = _last(r"CORNER\W*((?:top|bottom)[\s_-]*(?:left|right))", text)
    sound = _last(r"SOUND\W*(yes|no)\b", text)
    return Seen(
        prompt_tokens,
        re.sub(r"\D", "", digits),
        re.sub(r"[\s_-]+", "-", corner.lower()),
        sound.lower() == "yes" if sound else None,
        is_cut=is_cut and not (digits or corner or sound),
    )


def _last(pattern: str, text: str) -> str:
    """The last match, as a model may repeat the question; searches only the end of the text."""
    found = re.findall(pattern, text[-_MOST_CHARS:], re.IGNORECASE)
    return str(found[-1]) if found else ""
