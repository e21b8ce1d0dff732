"""Imitates how servers sample a video: which frames they keep, and how they turn them; pure."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

__all__ = ["FrameRule", "Turn", "Viewing", "frames_kept"]

FrameRule = Literal["all", "32", "2fps"]
Turn = Literal[0, 90, 180, 270]

_UNIFORM = 32
_RESAMPLED_FPS = 2


@dataclass(frozen=True, slots=True)
class Viewing:
    """How one server samples a video.

    Attributes:
        frames: "all" frames; at most "32", evenly spread, as vLLM's plain loader takes them; or
            resampled to "2fps", as by loaders that do not expect an already sampled video.
        turned_deg: clockwise, as by a decoder that ignores the rotation.
        reads: whether to look for digits and a mark in a corner, which takes time.
    """

    frames: FrameRule = "all"
    turned_deg: Turn = 0
    reads: bool = False


def frames_kept(rule: FrameRule, frames: int, fps: float) -> Mapping[int, int]:
    """Return how often the server takes each frame, by its number, without those it skips.

    As on real servers, the number of frames is the one in the container.
    """
    if rule == "32" and frames > _UNIFORM:
        step = (frames - 1) / (_UNIFORM - 1)
        return Counter(int(step * place) for place in range(_UNIFORM))
    if rule == "2fps" and fps > 0:
        wanted = round(frames / fps * _RESAMPLED_FPS)
        return Counter(
            min(int(place * fps / _RESAMPLED_FPS), frames - 1) for place in range(wanted)
        )
    return Counter(range(frames))
