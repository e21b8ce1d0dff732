"""Decides at which sample each frame of sound belongs, ignoring jitter; pure (worker process)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Placed", "SoundPlacer"]

Frame = TypeVar("Frame")

# Timestamps of single frames jitter; only more than that can be a gap or an overlap.
_JITTER_S = 0.05
# A clock that runs back further than this was set back (FFmpeg's -dts_delta_threshold).
_RESET_S = 10.0
# An offset is real once it has stayed for this many frames and this long. Recorders have been seen
# to stamp sound 100 ms early and late in turns (mkvtoolnix#1940), and to sort the stamps, so that a
# dozen frames in a row lie on the same side.
_STAYS_FRAMES = 8
_STAYS_S = 1.0
# Frames of PCM may last a second each; no more than this is held back.
_MOST_HELD_S = 2.0


@dataclass(frozen=True, slots=True)
class Placed(Generic[Frame]):
    """A frame, and the sample where it begins; None: where the frame before it ends."""

    frame: Frame
    at: int | None


class SoundPlacer(Generic[Frame]):
    """Joins frames to continuous sound, and accepts an offset only once it persists.

    Positions are samples of the output, counted from the clip's zero.

    Args:
        rate_hz: samples a second of the output.
    """

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._due: float | None = None  # where the next frame belongs if sound is continuous
        self._set_back = 0
        self._held: list[tuple[Frame, float]] = []  # each with its offset from its due place
        self._held_samples = 0.0

    def __repr__(self) -> str:
        return f"SoundPlacer(due={self._due}, held={[round(off) for _, off in self._held]})"

    def starts_at(self, stamp: int | None) -> int:
        """The sample that a timestamp means; a clock that ran far back continues from here."""
        due = round(self._due or 0)
        if stamp is None:
            return due
        at = stamp + self._set_back
        if self._due is not None and at < due - _RESET_S * self._rate_hz:
            self._set_back += due - at
            return due
        return at

    def place(self, frame: Frame, at: int, samples: float) -> Iterator[Placed[Frame]]:
        """Take a frame; yield the frames whose place is now decided, in order."""
        if self._due is None:
            self._due = at + samples
            yield Placed(frame, at)
            return
        off = at - self._due
        if self._held and (abs(off) <= self._jitter or (off > 0) != (self._held[0][1] > 0)):
            yield from self._follow()
        self._due += samples
        if abs(off) <= self._jitter:
            yield Placed(frame, None)
            return
        self._held.append((frame, off))
        self._held_samples += samples
        if self._stays:
            yield from self._resynchronise()

    def finish(self) -> Iterator[Placed[Frame]]:
        """Yield the frames still held, at their timestamps, as nothing contradicts those."""
        if self._held:
            yield from self._resynchronise()

    @property
    def _jitter(self) -> float:
        return _JITTER_S * self._rate_hz

    @property
    def _stays(self) -> bool:
        held_s = self._held_samples / self._rate_hz
        is_long = len(self._held) >= _STAYS_FRAMES and held_s >= _STAYS_S
        return is_long or held_s >= _MOST_HELD_S

    def _follow(self) -> Iterator[Placed[Frame]]:
        for frame, _ in self._let_go():
            yield Placed(frame, None)

    def _resynchronise(self) -> Iterator[Placed[Frame]]:
        held, samples = self._held, self._held_samples
        assert self._due is not None  # noqa: S101 - a held frame follows another
        shift = _median([off for _, off in held])
        self._due += shift
        at = round(self._due - samples)
        for place, (frame, _) in enumerate(self._let_go()):
            yield Placed(frame, None if place else at)

    def _let_go(self) -> list[tuple[Frame, float]]:
        held, self._held, self._held_samples = self._held, [], 0.0
        return held


def _median(values: list[float]) -> float:
    # `statistics` has one; importing it would take every worker process some milliseconds.
    ordered, half = sorted(values), len(values) // 2
    return ordered[half] if len(values) % 2 else (ordered[half - 1] + ordered[half]) / 2
