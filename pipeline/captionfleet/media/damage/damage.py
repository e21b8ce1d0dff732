"""Detects lost parts of a file from the packets that arrive; pure (worker process).

Damage is often silent: demuxers skip it without an error, and decoders conceal it. A gap in the
timestamps proves nothing, as recordings have pauses. These count as damage: a packet that does not
decode or is marked corrupt, a gap that picture and sound share, a gap with bytes that belong to no
packet, and an end before the file's stated end.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import inf

from captionfleet.messages import Damage

__all__ = ["LEAST_COVERAGE", "DamageWatch", "Sent"]

LEAST_COVERAGE = 0.5
"""A clip with less coverage is not captioned."""

_GAP_S = 0.5
_NEAR_S = 0.5  # a corrupt packet this close to a gap proves it
_REORDERED_FRAMES = 4
_FEW_STEPS = 10
_HOLE_BYTES = 1024


@dataclass(slots=True)
class _Line:
    """How far one stream has come, in seconds from the file's zero.

    Args:
        interval_s: the time between packets, until enough were seen to measure it.
        slack_s: how far packets may be ahead of presentation order.
    """

    interval_s: float
    slack_s: float = 0.0
    newest_s: float = -inf
    due_s: float = inf
    gap: tuple[float, float] = (inf, inf)
    steps: int = 0
    stepped_s: float = 0.0

    def advance(self, at_s: float, duration_s: float, least_gap_s: float = _GAP_S) -> bool:
        """Take the next packet in file order; return whether there is a gap before it."""
        is_gap = at_s - self.due_s > least_gap_s + self.slack_s
        if is_gap:
            self.gap = (self.newest_s, at_s)
        elif self.newest_s > -inf:
            self.steps += 1
            self.stepped_s += max(0.0, at_s - self.newest_s)
        if at_s > self.newest_s:
            self.newest_s, self.due_s = at_s, at_s + duration_s
        return is_gap

    def packets_in(self, seconds: float) -> int:
        """The number of packets that this much time has held so far."""
        if self.steps > _FEW_STEPS:
            self.interval_s = self.stepped_s / self.steps
        return round(seconds / self.interval_s) if self.interval_s > 0 else 0


@dataclass(frozen=True, slots=True)
class Sent:
    """The sampled frames of a clip, by slot: their times, and which the decoder marked corrupt.

    `expected` is how many slots there would be if nothing were lost; the first begins at
    `begin_s`.
    """

    times_s: Sequence[float]
    corrupt: Sequence[bool]
    fps: int
    expected: int
    begin_s: float = 0.0


@dataclass(frozen=True, slots=True)
class _Gap:
    """A span of presentation time without a video packet; `is_clean` if a key frame follows."""

    begin_s: float
    end_s: float
    is_clean: bool


class DamageWatch:
    """Observes the packets of a clip in file order, and sums up what was lost.

    Args:
        interval_s: one frame at the nominal rate.

    Attributes:
        pauses_are_known: whether `hole` is called for all bytes that are missing, so that a gap
            without any is a pause of the film.
        is_pause: whether the file is known to be intact between the two packets around a gap;
            called where picture and sound share a gap.
    """

    def __init__(self, interval_s: float) -> None:
        self.packets_lost = 0
        self.reached_s = 0.0
        self._interval_s = interval_s
        self._video = _Line(interval_s, slack_s=_REORDERED_FRAMES * interval_s)
        self._audio = _Line(interval_s)
        self._newest_key_s = -inf
        self.pauses_are_known = False
        self.is_pause: Callable[[], bool] = lambda: False
        self._hole_bytes = 0
        self._has_bytes_between = False
        self._corrupt_s = -inf
        self._gap: _Gap | None = None  # the last gap, unless it already counts as a loss
        self._losses: list[tuple[float, float]] = []
        self._doubtful: list[tuple[float, float]] = []
        self._dirty_from_s: float | None = None

    def video(self, at_s: float, duration_s: float, *, is_key: bool, is_corrupt: bool) -> None:
        """Take a video packet, to be shown at `at_s`, before it is decoded."""
        if is_key and not is_corrupt:
            self._newest_key_s = at_s
            self._clean(at_s)
        before_s = self._video.newest_s
        if is_corrupt:
            self._corrupt_s = at_s
        is_proven = before_s - self._corrupt_s < _NEAR_S or self._hole_bytes > _HOLE_BYTES
        least_gap_s = 0.0 if is_proven else _GAP_S
        if self._video.advance(at_s, max(duration_s, self._interval_s), least_gap_s):
            self._gap = _Gap(before_s, at_s, is_clean=is_key)
            self._judge_gap(is_proven=is_proven)
        self._hole_bytes, self._has_bytes_between = 0, False
        if is_corrupt:
            self.packets_lost += 1
            self._lose(min(before_s, at_s), at_s)
        self.reached_s = max(self.reached_s, at_s + duration_s)

    def audio(self, at_s: float, duration_s: float) -> None:
        """Take an audio packet."""
        if self._audio.advance(at_s, duration_s):
            self._judge_gap(is_proven=False)
        self.reached_s = max(self.reached_s, at_s + duration_s)

    @property
    def video_end_s(self) -> float:
        """The time at which the pictures of the packets so far end."""
        return 0.0 if self._video.due_s == inf else self._video.due_s

    def hole(self, size_bytes: int, *, is_proof: bool = True) -> None:
        """Record bytes before the next packet that belong to no packet.

        They prove no loss where they may belong to a stream that is not read.
        """
        self._has_bytes_between = self._has_bytes_between or size_bytes > _HOLE_BYTES
        if is_proof:
            self._hole_bytes += size_bytes

    def undecodable(self, at_s: float) -> None:
        """Record a video packet that gave an error instead of a frame."""
        self.packets_lost += 1
        self._lose(at_s, at_s + self._interval_s)
        if self._newest_key_s > at_s:  # decoders may lag behind the packets seen
            self._clean(self._newest_key_s)

    def unheard(self, packets: int) -> None:
        """Record audio packets that gave an error instead of sound."""
        self.packets_lost += packets

    def _judge_gap(self, *, is_proven: bool) -> None:
        ours, theirs = self._video.gap, self._audio.gap
        is_shared = ours[0] < theirs[1] and theirs[0] < ours[1]
        is_shared = is_shared and (self._has_bytes_between or not self.pauses_are_known)
        gap = self._gap
        if gap is None or not (is_proven or (is_shared and not self.is_pause())):
            return
        self._gap = None
        self.packets_lost += max(1, self._video.packets_in(gap.end_s - gap.begin_s) - 1)
        self._lose(gap.begin_s, gap.end_s)
        if gap.is_clean or self._newest_key_s > gap.end_s:
            self._clean(max(gap.end_s, self._newest_key_s))

    def _lose(self, begin_s: float, end_s: float) -> None:
        if self._dirty_from_s is None:
            self._dirty_from_s = begin_s
        last = self._losses[-1] if self._losses else (inf, inf)
        if last[0] <= begin_s <= last[1] + self._interval_s:
            self._losses[-1] = (last[0], max(last[1], end_s))
        else:
            self._losses.append((begin_s, end_s))

    def _clean(self, from_s: float) -> None:
        """Record a key frame: nothing after it depends on what was lost."""
        if self._dirty_from_s is not None:
            self._doubtful.append((self._dirty_from_s, from_s))
            self._dirty_from_s = None

    def sum_up(self, sent: Sent) -> Damage:
        """The damage at the end of the clip, without padding."""
        self._clean(inf)
        states = [
            (
                self._is_frozen(sent.begin_s + n / sent.fps, at, sent.fps),
                is_corrupt or _within(self._doubtful, at),
                is_corrupt,
            )
            for n, (at, is_corrupt) in enumerate(zip(sent.times_s, sent.corrupt, strict=True))
        ]
        covered = sum(not is_frozen and not is_corrupt for is_frozen, _, is_corrupt in states)
        slots = max(sent.expected, len(states))
        missing_s = (slots - len(states)) / sent.fps
        return Damage(
            packets_lost=self.packets_lost + self._video.packets_in(missing_s),
            coverage=round(covered / slots, 3) if slots else 0.0,
            frozen_frames=sum(is_frozen for is_frozen, _, _ in states),
            doubtful_frames=sum(is_doubtful for _, is_doubtful, _ in states),
        )

    def _is_frozen(self, slot_s: float, at_s: float, fps: int) -> bool:
        """Whether a slot repeats a frame of another slot, since its own frames were lost."""
        begin, end = slot_s - 0.5 / fps, slot_s + 0.5 / fps
        if begin <= at_s < end:
            return False
        since, until = min(at_s, begin), max(at_s, end)
        return any(since < lost_to and lost_from < until for lost_from, lost_to in self._losses)


def _within(spans: Iterable[tuple[float, float]], at_s: float) -> bool:
    return any(begin < at_s < end for begin, end in spans)
