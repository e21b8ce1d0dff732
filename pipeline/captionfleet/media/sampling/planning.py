"""Decides from timestamps and packet kinds which packets to decode; pure (worker process).

`exact` samples what FFmpeg's fps filter shows in each slot: the last frame of the slot. `fast`
samples whichever frame of that slot takes the least decoding.
"""

from dataclasses import dataclass
from heapq import heappop, heappush

from captionfleet.media.codecs.packet_kind import PacketKind, PlanBroken
from captionfleet.media.sampling.fps_filter import FpsFilter, frame_duration

__all__ = ["PacketPlanner", "Step", "Wanted"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """A frame to sample: its PTS, and how many slots it fills."""

    pts: int
    slots: int


@dataclass(slots=True)
class _Held:
    pts: int
    kind: PacketKind
    number: int  # in decoding order
    wanted: bool | None = None  # None: not known yet


@dataclass(frozen=True, slots=True)
class Step:
    """What to do with the oldest held packets: skip some, then decode some of the next.

    `restart` asks to drain and flush the decoder first; `decode` says of each packet whether it has
    to be decoded.
    """

    drop: int
    decode: tuple[bool, ...]
    restart: bool


def _number(held: _Held) -> int:
    return held.number


class PacketPlanner:
    """Decides from packet timestamps, in decoding order, what has to be decoded.

    A packet's DTS is a lower bound of every later PTS, so presentation order is known after a few
    packets, and a slot is complete once a frame of the next slot is known. Packets between the last
    wanted frame and the next are held until an entry makes them unnecessary, or until it is known
    that nothing refers to them.
    """

    def __init__(self, fps_filter: FpsFilter, *, fast: bool = False) -> None:
        self._filter = fps_filter
        self._fast = fast
        self._held: list[_Held] = []
        self._unordered: list[tuple[int, int, _Held]] = []  # a heap
        self._slot: list[_Held] = []  # frames of the newest slot, in presentation order
        self._last_dts: int | None = None
        self._since_last: int | None = None
        self._arrivals = 0
        self._decoded_up_to = 0
        self._begun = False
        self._new_entry: _Held | None = None
        self._has_gap = False

    @property
    def is_complete(self) -> bool:
        """Whether no further packet can matter."""
        return self._filter.is_complete

    @property
    def first_slot(self) -> int | None:
        """The slot of the first frame, None before it is known."""
        return self._filter.first_slot

    def filter_after(self, slots_done: int) -> FpsFilter:
        """The fps filter as it was after `slots_done` slots."""
        return self._filter.resumed(slots_done)

    @property
    def settled_pts(self) -> float:
        """For every frame below this PTS it is known whether it is wanted."""
        return self._slot[0].pts if self._slot else float("-inf")

    def begin(self, first_pts: int | None = None) -> None:
        """Start to plan; frames before `first_pts`, if given, never come out."""
        self._begun = True
        if first_pts is not None:
            self._unordered = sorted(entry for entry in self._unordered if entry[0] >= first_pts)

    def add(self, pts: int, dts: int | None, kind: PacketKind) -> list[Wanted]:
        """Take the next packet; return the frames now known to be wanted, in order.

        Raises:
            PlanBroken: DTS are missing, except at the start, or run backwards.
        """
        self._arrivals += 1
        held = _Held(pts, kind, self._arrivals)
        self._held.append(held)
        if not kind.is_shown:  # some files give it the next packet's time
            held.wanted = False
            return []
        self._check(pts, dts)
        heappush(self._unordered, (pts, self._arrivals, held))
        return [] if dts is None or not self._begun else self._settle(until=dts)

    def _check(self, pts: int, dts: int | None) -> None:
        last, self._last_dts = self._last_dts, dts
        if dts is None and last is not None:
            raise PlanBroken
        if dts is not None and (pts < dts or (last is not None and dts <= last)):
            raise PlanBroken

    def decode_held(self) -> None:
        """Record that every packet so far went to the decoder."""
        self._decoded_up_to = self._arrivals
        self._held.clear()

    def take_useless(self) -> int:
        """Drop the oldest held packets that no frame from the open slot on needs; return how many.

        To be asked when a step has been taken for every wanted frame; returns how many.
        """
        entry, self._new_entry = self._new_entry, None
        if entry is None or not self._held:
            return 0
        before = self._held[: max(entry.number - self._held[0].number, 0)]
        if not before or any(h.wanted is not False or h.kind.is_pinned for h in before):
            return 0
        del self._held[: len(before)]
        self._has_gap = True
        return len(before)

    def finish(self, last_duration: int, by_rate: int) -> list[Wanted]:
        """End the stream; the last frame lasts `last_duration` ticks."""
        wanted = self._settle(until=None)
        if self._slot:
            ticks = frame_duration(last_duration, self._since_last, by_rate)
            wanted += self._close(self._filter.finish(self._slot[-1].pts + ticks))
        return wanted

    def _settle(self, *, until: int | None) -> list[Wanted]:
        wanted: list[Wanted] = []
        while self._unordered and (until is None or self._unordered[0][0] < until):
            pts, _, held = heappop(self._unordered)
            last = self._slot[-1].pts if self._slot else None
            if last is not None and pts <= last:
                raise PlanBroken
            self._since_last = None if last is None else pts - last
            wanted += self._enter(held)
        return wanted

    def _enter(self, held: _Held) -> list[Wanted]:
        """Put the next frame in presentation order into its slot."""
        wanted: list[Wanted] = []
        slots = self._filter.push(held.pts)
        if slots:
            wanted = self._close(slots)
        elif (
            not self._fast
            or self._is_early()
            or (held.kind.is_entry and not self._is_decoded(self._slot))
        ):
            for beaten in self._slot:
                beaten.wanted = False
            self._slot = []
        self._slot.append(held)
        if held.kind.is_entry:
            self._new_entry = held
        return wanted

    def _is_early(self) -> bool:
        """Whether the open slot holds only frames shown before the window, for lack of better."""
        return bool(self._slot) and self._filter.is_early(self._slot[-1].pts)

    def _close(self, slots: int) -> list[Wanted]:
        """End the open slot, whose frame fills `slots` slots."""
        chosen = self._choose()
        for held in self._slot:
            held.wanted = held is chosen and slots > 0
        self._slot = []
        if not slots:
            return []
        self._decoded_up_to = max(self._decoded_up_to, chosen.number)
        return [Wanted(chosen.pts, slots)]

    def _choose(self) -> _Held:
        """The frame of the complete slot to show: the last one, or the cheapest to decode.

        An entry stands first and costs one frame; otherwise the first in decoding order costs the
        fewest. A frame that is already decoded costs nothing, and is the first in that order.
        """
        if not self._fast:
            return self._slot[-1]
        if self._slot[0].kind.is_entry and not self._is_decoded(self._slot):
            return self._slot[0]
        first = min(self._slot, key=_number)
        if first.kind.is_needed or self._is_decoded([first]):
            return first
        return self._reference_next_to(first) or first

    def _reference_next_to(self, first: _Held) -> _Held | None:
        """A frame of the slot that costs no more than this one, and helps later slots."""
        after = [held for held in self._held if held.number > first.number and held.kind.is_needed]
        return after[0] if after and any(held is after[0] for held in self._slot) else None

    def _is_decoded(self, frames: list[_Held]) -> bool:
        return any(held.number <= self._decoded_up_to for held in frames)

    def next_step(self, wanted: Wanted) -> Step | None:
        """What to do to decode `wanted`; None if its packet was decoded already."""
        end = next(
            (i for i, held in enumerate(self._held) if held.wanted and held.pts == wanted.pts), None
        )
        if end is None:
            return None
        start = self._entry(end)
        decode = tuple(
            held.kind.is_needed or held.wanted is not False for held in self._held[start : end + 1]
        )
        del self._held[: end + 1]
        restart = start > 0 or self._has_gap
        self._has_gap = False
        return Step(start, decode, restart)

    def _entry(self, end: int) -> int:
        """The newest packet from which decoding up to `end` can start; 0 to continue instead."""
        pts = self._held[end].pts
        pinned = next((i for i, held in enumerate(self._held) if held.kind.is_pinned), end)
        for i in range(min(end, pinned), 0, -1):
            if self._held[i].kind.is_entry and self._held[i].pts <= pts:
                return i
        return 0
