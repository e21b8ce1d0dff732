"""Frames of sound follow each other where timestamps jitter, and move where an offset stays."""

from itertools import accumulate, pairwise
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from captionfleet.media.sound.placing import Placed, SoundPlacer

RATE_HZ = 16_000
FRAME_SAMPLES = 320  # 20 ms


def placed(stamps: list[int | None], samples: float = FRAME_SAMPLES) -> list[Placed[int]]:
    """What becomes of frames with these timestamps."""
    placer: SoundPlacer[int] = SoundPlacer(RATE_HZ)
    done: list[Placed[int]] = []
    for number, stamp in enumerate(stamps):
        done += placer.place(number, placer.starts_at(stamp), samples)
    return [*done, *placer.finish()]


def positions(done: list[Placed[int]], samples: int = FRAME_SAMPLES) -> list[int]:
    """Where each frame begins."""
    ends = 0
    starts = []
    for one in done:
        starts.append(ends if one.at is None else one.at)
        ends = starts[-1] + samples
    return starts


@given(st.lists(st.one_of(st.none(), st.integers(-(2**40), 2**40)), max_size=400))
def test_no_frame_is_lost_or_moved_past_another(stamps: list[int | None]) -> None:
    """Whatever the timestamps say, each frame comes out once and in order."""
    assert [one.frame for one in placed(stamps)] == list(range(len(stamps)))


@settings(max_examples=20)  # of 400 stamps each
@given(chance=st.integers(0, 2**32).map(Random), rising=st.booleans())
def test_sound_whose_timestamps_jitter_is_continuous(*, chance: Random, rising: bool) -> None:
    """Stamps up to 100 ms early or late move eight seconds of sound at most once."""
    stamps = [n * FRAME_SAMPLES + round(chance.uniform(-1600, 1600)) for n in range(400)]
    stamps = list(accumulate(stamps, max)) if rising else stamps
    at = positions(placed([0, *stamps]))
    moves = [later - first - FRAME_SAMPLES for first, later in pairwise(at)]
    assert sum(move != 0 for move in moves) <= 2
    assert max(abs(move) for move in moves) <= 3200


@given(st.integers(10, 200), st.integers(1000, 400_000), st.integers(50, 200))
def test_a_gap_moves_all_that_follows_it(before: int, gap: int, after: int) -> None:
    """The first frame behind a gap is already where its timestamp says."""
    stamps = [n * FRAME_SAMPLES + gap * (n >= before) for n in range(before + after)]
    assert positions(placed(list(stamps))) == stamps


def test_one_stray_timestamp_moves_nothing() -> None:
    """A frame that claims to lie two seconds ahead follows the one before it."""
    stamps: list[int | None] = [n * FRAME_SAMPLES for n in range(100)]
    stamps[40] = 40 * FRAME_SAMPLES + 2 * RATE_HZ
    assert positions(placed(stamps)) == [n * FRAME_SAMPLES for n in range(100)]


def test_a_gap_just_before_the_end_is_kept() -> None:
    """Three frames behind a gap are too few to be sure, but nothing speaks against them."""
    stamps = [n * FRAME_SAMPLES + RATE_HZ * (n >= 50) for n in range(53)]
    assert positions(placed(list(stamps))) == stamps


def test_long_frames_are_not_held_for_long() -> None:
    """Sound in frames of a second each is placed two frames behind a gap."""
    placer: SoundPlacer[int] = SoundPlacer(RATE_HZ)
    given_out = [len(list(placer.place(n, (n + 5 * (n > 3)) * RATE_HZ, RATE_HZ))) for n in range(8)]
    assert given_out == [1, 1, 1, 1, 0, 2, 1, 1]
