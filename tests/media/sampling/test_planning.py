"""The planner: what it wants is what the plain model shows, and what it decodes suffices."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from captionfleet.media.codecs.packet_kind import (
    CLOSED_ENTRY,
    DISPOSABLE,
    ENTRY,
    HIDDEN,
    INTRA,
    NEEDED,
    PINNED,
    PacketKind,
    PlanBroken,
)
from captionfleet.media.sampling.fps_filter import FpsFilter
from captionfleet.media.sampling.planning import PacketPlanner, Wanted

TICKS_PER_S = 90
MODES = pytest.mark.parametrize("fast", [False, True], ids=["exact", "fast"])


@dataclass(frozen=True, slots=True)
class Coded:
    """A packet: when it is shown, when decoded, what it is."""

    pts: int
    dts: int
    kind: PacketKind


@dataclass
class Plan:
    """What a planner did with packets, by their place in decoding order."""

    shown: list[int] = field(default_factory=list)  # PTS, a slot each
    decoded: list[int] = field(default_factory=list)
    restarts: list[int] = field(default_factory=lambda: [0])
    most_held: int = 0

    def entered_at(self, place: int) -> int:
        """Where the decoder was started from which this packet was decoded."""
        return max(start for start in self.restarts if start <= place)


def slot(time: int) -> int:
    return (2 * time + TICKS_PER_S) // (2 * TICKS_PER_S)


def shown_frames(packets: Sequence[Coded], duration: int, seconds: int) -> list[int]:
    """The plain model: at every slot, the last frame that is due; slots from the first frame."""
    times = sorted(packet.pts for packet in packets if packet.kind.is_shown)
    last_slot = min(slot(times[-1] + duration), seconds)
    return [
        max(time for time in times if slot(time) <= number)
        for number in range(slot(times[0]), last_slot)
    ]


def plan(packets: Sequence[Coded], duration: int, seconds: int, *, fast: bool) -> Plan:
    """Drive a planner over a whole stream as the sampler does."""
    planner = PacketPlanner(FpsFilter(Fraction(1, TICKS_PER_S), seconds), fast=fast)
    planner.begin()
    done, gone = Plan(), 0

    def pursue(wanted: list[Wanted]) -> None:
        nonlocal gone
        for one in wanted:
            done.shown += [one.pts] * one.slots
            step = planner.next_step(one)
            if step is not None:
                gone += step.drop
                done.restarts += [gone] * step.restart
                done.decoded += [gone + n for n, is_decoded in enumerate(step.decode) if is_decoded]
                gone += len(step.decode)
        gone += planner.take_useless()

    for place, packet in enumerate(packets):
        pursue(planner.add(packet.pts, packet.dts, packet.kind))
        done.most_held = max(done.most_held, place + 1 - gone)
    pursue(planner.finish(duration, by_rate=0))
    return done


@st.composite
def streams(draw: st.DrawFn) -> list[Coded]:
    """A stream in decoding order: anchors, B-frames before them, entries, hidden and pinned."""
    gaps = draw(st.lists(st.integers(1, 400) | st.integers(1, 8), min_size=1, max_size=60))
    times = [draw(st.integers(0, 300))]
    for gap in gaps:
        times.append(times[-1] + gap)
    anchors = st.sampled_from([NEEDED, NEEDED, ENTRY, CLOSED_ENTRY, PINNED])
    others = st.sampled_from([NEEDED, DISPOSABLE, DISPOSABLE])
    order = [(times[0], CLOSED_ENTRY)]
    position = 1
    while position < len(times):
        group = times[position : position + draw(st.integers(1, 5))]
        order.append((group[-1], draw(anchors)))
        order += [(pts, draw(others)) for pts in draw(st.permutations(group[:-1]))]
        position += len(group)
    packets: list[Coded] = []
    last = min(times) - 2 * len(times) - 10
    for place, (pts, kind) in enumerate(order):
        bound = min(later for later, _ in order[place:])
        last = max(min(bound, last + 1), last + 1)
        packets.append(Coded(pts, last, kind))
        if draw(st.integers(0, 9)) == 9:
            packets.append(Coded(pts, last, HIDDEN))
    return packets


@given(streams(), st.integers(2, 90), st.integers(1, 20))
def test_exact_shows_what_the_plain_model_shows(
    packets: list[Coded], duration: int, seconds: int
) -> None:
    """From packets in decoding order, every slot has the frame that FFmpeg's filter shows."""
    done = plan(packets, duration, seconds, fast=False)
    assert done.shown == shown_frames(packets, duration, seconds)


@given(streams(), st.integers(2, 90), st.integers(1, 20))
def test_fast_keeps_to_the_slots_of_exact(
    packets: list[Coded], duration: int, seconds: int
) -> None:
    """As many frames, of the same slots as exact's, in order, one twice only where exact's is."""
    exact = shown_frames(packets, duration, seconds)
    fast = plan(packets, duration, seconds, fast=True).shown
    assert [slot(time) for time in fast] == [slot(time) for time in exact]
    assert all(abs(a - b) < TICKS_PER_S for a, b in zip(fast, exact, strict=True))
    assert fast == sorted(fast)
    assert len(set(fast)) == len(set(exact))


@MODES
@given(packets=streams(), seconds=st.integers(1, 20))
def test_what_is_decoded_suffices(packets: list[Coded], seconds: int, *, fast: bool) -> None:
    """Every wanted frame is decoded, after all that it may refer to, from an entry shown before."""
    done = plan(packets, 9, seconds, fast=fast)
    place_of = {p.pts: place for place, p in enumerate(packets) if p.kind.is_shown}
    for pts in done.shown:
        place = place_of[pts]
        start = done.entered_at(place)
        assert place in done.decoded
        assert start == 0 or (packets[start].kind.is_entry and packets[start].pts <= pts)
        needed = {n for n in range(start, place) if packets[n].kind.is_needed}
        assert needed <= set(done.decoded)
    assert len(done.decoded) == len(set(done.decoded))


@MODES
@given(packets=streams(), seconds=st.integers(1, 20))
def test_what_changes_settings_is_never_passed_over(
    packets: list[Coded], seconds: int, *, fast: bool
) -> None:
    """A pinned packet before the last frame decoded is decoded too."""
    done = plan(packets, 9, seconds, fast=fast)
    last = max(done.decoded, default=0)
    pinned = {n for n, packet in enumerate(packets[:last]) if packet.kind.is_pinned}
    assert pinned <= set(done.decoded)


@st.composite
def usual_streams(draw: st.DrawFn) -> list[Coded]:
    """What encoders make: an even rate, GOPs of one length, so many B-frames between references."""
    ticks, gop, run = draw(st.integers(1, 20)), draw(st.integers(1, 90)), draw(st.integers(1, 5))
    entry = draw(st.sampled_from([ENTRY, CLOSED_ENTRY]))
    order = [(0, CLOSED_ENTRY)]
    for last in range(run, 300, run):
        order.append((last, entry if last // run % gop == 0 else NEEDED))
        order += [(number, DISPOSABLE) for number in range(last - run + 1, last)]
    return [Coded(ticks * n, ticks * (place - run), kind) for place, (n, kind) in enumerate(order)]


@given(usual_streams(), st.integers(1, 20))
def test_fast_never_decodes_more_than_exact(packets: list[Coded], seconds: int) -> None:
    """Fast decodes as many packets as exact or fewer."""
    fast, exact = (plan(packets, 9, seconds, fast=is_fast).decoded for is_fast in (True, False))
    assert len(fast) <= len(exact)


def steady(gop: int, *, seconds: int = 30, fps: int = 30, kind: PacketKind = NEEDED) -> list[Coded]:
    """A stream without B-frames, an entry every `gop` frames."""
    ticks = TICKS_PER_S // fps
    return [
        Coded(ticks * n, ticks * n, kind if n % gop else CLOSED_ENTRY) for n in range(seconds * fps)
    ]


@pytest.mark.parametrize(
    ("gop", "exact", "fast"),
    [(30, 30 * 15, 30), (60, 15 * 45, 15 * (1 + 15)), (3000, 29 * 30 + 15, 29 * 30 - 14)],
    ids=["1s", "2s", "endless"],
)
def test_how_many_frames_are_decoded(gop: int, exact: int, fast: int) -> None:
    """Thirty slots: exact decodes up to the last frame of each, fast the entry if there is one."""
    packets = steady(gop)
    assert len(plan(packets, 3, 30, fast=False).decoded) == exact
    assert len(plan(packets, 3, 30, fast=True).decoded) == fast


@MODES
def test_where_all_frames_stand_alone_one_a_slot_is_decoded(*, fast: bool) -> None:
    """Of an intra-only film, only the wanted packets are decoded, and hardly any are held."""
    done = plan(steady(1, kind=INTRA), 3, 30, fast=fast)
    assert len(done.decoded) == 30
    assert done.most_held <= 3


def test_disposable_frames_are_left_out() -> None:
    """Of frames that nobody needs, only those that are wanted are decoded."""
    packets = [
        Coded(packet.pts, packet.dts, packet.kind if n % 2 == 0 else DISPOSABLE)
        for n, packet in enumerate(steady(3000))
    ]
    done = plan(packets, 3, 30, fast=False)
    unneeded = [n for n in done.decoded if packets[n].kind is DISPOSABLE]
    assert [packets[n].pts for n in unneeded] == [pts for pts in done.shown if pts // 3 % 2]


@MODES
@pytest.mark.parametrize("gop", [1, 30, 60, 3000])
def test_little_more_than_a_slot_is_held(gop: int, *, fast: bool) -> None:
    """However long the film and its GOPs, packets of no more than two seconds are held."""
    assert plan(steady(gop, seconds=300), 3, 300, fast=fast).most_held <= 62


@pytest.mark.parametrize(
    "packets",
    [
        [(0, 0), (3, 0)],
        [(0, 0), (3, 3), (6, 2)],
        [(0, 5)],
        [(0, 0), (3, None)],
        [(0, -2), (0, -1), (9, 3)],
    ],
    ids=["equal-dts", "dts-backwards", "pts-before-dts", "dts-lost", "equal-pts"],
)
def test_timestamps_that_cannot_be_trusted_break_the_plan(
    packets: list[tuple[int, int | None]],
) -> None:
    """A plan is given up as soon as a timestamp contradicts another."""
    planner = PacketPlanner(FpsFilter(Fraction(1, TICKS_PER_S), 60))
    planner.begin()

    def plan_all() -> None:
        for pts, dts in packets:
            planner.add(pts, dts, CLOSED_ENTRY)

    with pytest.raises(PlanBroken):
        plan_all()


def test_missing_dts_in_front_only_delays_the_plan() -> None:
    """Matroska leaves out the first DTS of some streams; nothing is lost by that."""
    planner = PacketPlanner(FpsFilter(Fraction(1, TICKS_PER_S), 2))
    planner.begin()
    wanted = []
    for number in range(200):
        wanted += planner.add(number, None if number < 6 else number, NEEDED)
    assert [(one.pts, one.slots) for one in wanted] == [(44, 1), (134, 1)]


def test_nothing_is_wanted_before_it_is_known_what_comes_out() -> None:
    """Frames before the first that the decoder gives are as if they were not there."""
    planner = PacketPlanner(FpsFilter(Fraction(1, TICKS_PER_S), 9))
    for number in range(150):
        assert planner.add(number, number, NEEDED) == []
    planner.add(152, 150, NEEDED)
    planner.decode_held()
    planner.begin(first_pts=130)
    wanted = [one for number in range(153, 300) for one in planner.add(number, number, NEEDED)]
    assert [(one.pts, one.slots) for one in wanted] == [(134, 1), (224, 1)]
    assert planner.first_slot == 1


def test_fast_takes_what_is_decoded_already() -> None:
    """A frame that had to be decoded for another slot's takes none, so no entry is decoded."""
    kinds = {0: CLOSED_ENTRY, 140: NEEDED, 60: NEEDED, 100: NEEDED, 180: CLOSED_ENTRY, 240: NEEDED}
    packets = [Coded(pts, n - 10, kind) for n, (pts, kind) in enumerate(kinds.items())]
    done = plan(packets, 9, 3, fast=True)
    assert done.shown == [0, 60, 140]
    assert done.decoded == [0, 1, 2]
