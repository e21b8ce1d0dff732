"""Reproduces FFmpeg's fps filter: which frames to sample, from timestamps; pure (worker process).

The model is FFmpeg's command line with `-vf fps=N`: a frame at time t belongs to slot
floor(t * N + 1/2), and a slot shows the last frame at or before it (vf_fps.c, round=near).
Timestamps are integers in the stream's time base, zero at the start of the file.
"""

from fractions import Fraction

__all__ = ["BestEffortPts", "FpsFilter", "frame_duration"]


def rescale_near(value: int, ratio: Fraction) -> int:
    """`value * ratio`, rounded to nearest, halves away from zero (av_rescale_q)."""
    scaled = abs(value) * ratio.numerator * 2 + ratio.denominator
    return (1 if value >= 0 else -1) * (scaled // (2 * ratio.denominator))


class FpsFilter:
    """The fps filter: takes frame times, and returns how many output slots each frame fills.

    Args:
        slots_per_tick: the time base times the output rate.
        end_slot: the first slot after the wanted ones.
        is_trimmed: drop slots before 0, as the filter's start_time does.
    """

    def __init__(
        self, slots_per_tick: Fraction, end_slot: int, *, is_trimmed: bool = False
    ) -> None:
        self._slots_per_tick = slots_per_tick
        self._end_slot = end_slot
        self._is_trimmed = is_trimmed
        self.first_slot: int | None = None
        self._next_slot = 0

    def resumed(self, slots_done: int) -> "FpsFilter":
        """A filter in the state that this one had after `slots_done` slots."""
        other = FpsFilter(self._slots_per_tick, self._end_slot, is_trimmed=self._is_trimmed)
        if slots_done and self.first_slot is not None:
            other.first_slot = self.first_slot
            other._next_slot = self.first_slot + slots_done
        return other

    def slot(self, pts: int) -> int:
        """The slot of a frame at `pts`."""
        return rescale_near(pts, self._slots_per_tick)

    def is_early(self, pts: int) -> bool:
        """Whether a frame at `pts` is in a slot before the first wanted one."""
        return self._is_trimmed and self.slot(pts) < 0

    @property
    def is_complete(self) -> bool:
        """Whether every wanted slot is filled."""
        return self.first_slot is not None and self._next_slot >= self._end_slot

    def push(self, pts: int) -> int:
        """Take the next frame; return how many slots the frame before it fills."""
        slot = self.slot(pts)
        if self.first_slot is None:
            self.first_slot = self._next_slot = max(slot, 0) if self._is_trimmed else slot
            return 0
        return self._advance_to(slot)

    def finish(self, end_pts: int) -> int:
        """End the stream at `end_pts`; return how many slots the last frame fills."""
        return self._advance_to(self.slot(end_pts))

    def _advance_to(self, slot: int) -> int:
        shown = max(0, min(slot, self._end_slot) - self._next_slot)
        self._next_slot += shown
        return shown


class BestEffortPts:
    """The presentation time of decoded frames, as FFmpeg guesses it (guess_correct_pts).

    Uses PTS or DTS, whichever ran backwards less often; a frame with neither follows its
    predecessor by the estimated duration.
    """

    def __init__(self) -> None:
        self._last_pts: int | None = None
        self._last_dts: int | None = None
        self._faulty_pts = 0
        self._faulty_dts = 0

    def guess(self, pts: int | None, dts: int | None) -> int | None:
        """The presentation time of the next frame in output order; None if unknown."""
        if dts is not None:
            self._faulty_dts += self._last_dts is not None and dts <= self._last_dts
            self._last_dts = dts
        elif pts is not None:
            self._last_dts = pts
        if pts is not None:
            self._faulty_pts += self._last_pts is not None and pts <= self._last_pts
            self._last_pts = pts
        elif dts is not None:
            self._last_pts = dts
        trust_pts = self._faulty_pts <= self._faulty_dts or dts is None
        return pts if trust_pts and pts is not None else dts


def frame_duration(
    duration: int, since_last: int | None, by_rate: int, *, unreliable: bool = False
) -> int:
    """The duration of a frame in ticks, as FFmpeg's command line estimates it.

    Args:
        duration: as the container or decoder says, 0 if unknown.
        since_last: ticks since the frame before, if there was one.
        by_rate: ticks of one frame at the nominal rate, 0 if unknown.
        unreliable: the container has no timestamps of its own.
    """
    guessed = duration == 1 and since_last is not None and since_last > 2 * duration
    if duration > 0 and not unreliable and not guessed:
        return duration
    if unreliable and by_rate > 0:
        return by_rate
    if since_last is not None and since_last > 0:
        return since_last
    return duration if duration > 0 else max(by_rate, 1)
