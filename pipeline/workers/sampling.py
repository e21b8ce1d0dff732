"""Which frames to sample, from timestamps alone; pure (worker process).

The model is FFmpeg's command line with `-vf fps=N`: a frame at time t belongs to slot
floor(t * N + 1/2), and a slot shows the last frame at or before it (vf_fps.c, round=near).
Timestamps are integers in the stream's time base, zero at the start of the file.
"""

from dataclasses import dataclass
from fractions import Fraction
from heapq import heappop, heappush

__all__ = ["BestEffortPts", "FpsFilter", "PacketPlanner", "PlanBroken", "Wanted", "frame_duration"]


def rescale_near(value: int, ratio: Fraction) -> int:
    """`value * ratio`, rounded to nearest, halves away from zero (av_rescale_q)."""
    scaled = abs(value) * ratio.numerator * 2 + ratio.denominator
    return (1 if value >= 0 else -1) * (scaled // (2 * ratio.denominator))


class FpsFilter:
    """The fps filter: frames go in with their time, counts of output slots come out.

    Args:
        ticks_per_slot: slots per tick, i.e. the time base times the output rate.
        end_slot: the first slot that is no longer wanted.
    """

    def __init__(self, slots_per_tick: Fraction, end_slot: int) -> None:
        self._slots_per_tick = slots_per_tick
        self._end_slot = end_slot
        self.first_slot: int | None = None
        self._next_slot = 0

    def slot(self, pts: int) -> int:
        """The slot that a frame at `pts` belongs to."""
        return rescale_near(pts, self._slots_per_tick)

    @property
    def is_complete(self) -> bool:
        """Whether every wanted slot has been given out."""
        return self.first_slot is not None and self._next_slot >= self._end_slot

    def push(self, pts: int) -> int:
        """Take the next frame; return how many slots show the frame before it."""
        slot = self.slot(pts)
        if self.first_slot is None:
            self.first_slot = self._next_slot = slot
            return 0
        return self._advance_to(slot)

    def finish(self, end_pts: int) -> int:
        """End the stream at `end_pts`; return how many slots show the last frame."""
        return self._advance_to(self.slot(end_pts))

    def _advance_to(self, slot: int) -> int:
        shown = max(0, min(slot, self._end_slot) - self._next_slot)
        self._next_slot += shown
        return shown


class BestEffortPts:
    """The presentation time of decoded frames, as FFmpeg guesses it (guess_correct_pts).

    The timestamp kind, PTS or DTS, that ran backwards less often is believed; a frame with
    neither follows its predecessor by the estimated duration.
    """

    def __init__(self) -> None:
        self._last_pts: int | None = None
        self._last_dts: int | None = None
        self._faulty_pts = 0
        self._faulty_dts = 0

    def guess(self, pts: int | None, dts: int | None) -> int | None:
        """The time to believe for the next frame in output order."""
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
    """How long a frame lasts, in ticks, as FFmpeg's command line estimates it.

    Args:
        duration: what container or decoder say, 0 if nothing.
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


class PlanBroken(Exception):  # noqa: N818 - a change of plan, not an error
    """Raised when timestamps do not allow planning; everything has to be decoded."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A frame to sample: its PTS, and how many slots show it."""

    pts: int
    slots: int


@dataclass(slots=True)
class _Held:
    pts: int
    is_key: bool
    wanted: bool | None = None  # None: not known yet


@dataclass(frozen=True, slots=True)
class Step:
    """What to do with the oldest held packets: drop so many, then decode so many.

    `restart` asks to drain and flush the decoder first. `skippable` says of each packet to
    decode whether its own frame is surely unwanted.
    """

    drop: int
    skippable: tuple[bool, ...]
    restart: bool


class PacketPlanner:
    """Decides from the timestamps of packets, in decoding order, what has to be decoded.

    A packet's DTS bounds the PTS of all that follow it, so presentation order is known after
    a few packets; the frame before a slot's border is wanted. Packets between the last wanted
    frame and the next one are held until it is known whether a key frame makes them useless.
    """

    def __init__(self, fps_filter: FpsFilter) -> None:
        self._filter = fps_filter
        self._held: list[_Held] = []
        self._unordered: list[tuple[int, int, _Held]] = []
        self._shown: _Held | None = None  # newest in presentation order
        self._last_dts: int | None = None
        self._since_last: int | None = None
        self._arrivals = 0
        self._fed_any = False

    @property
    def is_complete(self) -> bool:
        """Whether no further packet can matter."""
        return self._filter.is_complete

    @property
    def settled_pts(self) -> float:
        """Below this PTS it is known of every frame whether it is wanted."""
        return float("-inf") if self._shown is None else self._shown.pts

    def add(
        self, pts: int, dts: int | None, *, is_key: bool, is_shown: bool = True
    ) -> list[Wanted]:
        """Take the next packet; return the frames now known to be wanted, in order.

        Raises:
            PlanBroken: DTS are missing, other than in front, or run backwards.
        """
        if dts is None and self._last_dts is not None:
            raise PlanBroken
        if dts is not None:
            if pts < dts or (self._last_dts is not None and dts <= self._last_dts):
                raise PlanBroken
            self._last_dts = dts
        held = _Held(pts, is_key, wanted=None if is_shown else False)
        self._held.append(held)
        if is_shown:
            self._arrivals += 1
            heappush(self._unordered, (pts, self._arrivals, held))
        return [] if dts is None else self._settle(until=dts)

    def finish(self, last_duration: int, by_rate: int) -> list[Wanted]:
        """End of stream: settle what is left; the last frame lasts `last_duration` ticks."""
        wanted = self._settle(until=None)
        if self._shown is not None:
            ticks = frame_duration(last_duration, self._since_last, by_rate)
            wanted += self._judge(self._filter.finish(self._shown.pts + ticks))
        return wanted

    def _settle(self, *, until: int | None) -> list[Wanted]:
        wanted: list[Wanted] = []
        while self._unordered and (until is None or self._unordered[0][0] < until):
            pts, _, held = heappop(self._unordered)
            last = None if self._shown is None else self._shown.pts
            if last is not None and pts <= last:
                raise PlanBroken
            self._since_last = None if last is None else pts - last
            wanted += self._judge(self._filter.push(pts))
            self._shown = held
        return wanted

    def _judge(self, slots: int) -> list[Wanted]:
        if self._shown is None:
            return []
        self._shown.wanted = slots > 0
        return [Wanted(self._shown.pts, slots)] if slots else []

    def next_step(self, wanted: Wanted) -> Step | None:
        """What to do so that `wanted` gets decoded; None if its packet has been fed already."""
        end = next(
            (i for i, held in enumerate(self._held) if held.wanted and held.pts == wanted.pts), None
        )
        if end is None:
            return None
        start = self._entry(end, wanted.pts)
        feed = self._held[start : end + 1]
        step = Step(start, tuple(h.wanted is False for h in feed), restart=start > 0)
        self._held = self._held[end + 1 :]
        return step

    def _entry(self, end: int, pts: int) -> int:
        """The last key frame from which the packet at `end` can be decoded, else the oldest."""
        for i in range(end, -1, -1):
            held = self._held[i]
            if held.is_key and held.pts <= pts:
                return i
        return 0
