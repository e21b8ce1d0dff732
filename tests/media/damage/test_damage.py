"""What counts as lost, and what is an ordinary gap."""

import pytest

from captionfleet.media.damage.damage import DamageWatch, Sent
from captionfleet.messages import Damage

FPS = 25
FRAME_S = 1 / FPS
GOP_FRAMES = 25


def play(
    watch: DamageWatch,
    *spans_s: tuple[float, float],
    sound: tuple[tuple[float, float], ...] | None = None,
) -> None:
    """Show pictures during some spans and hear sound during others, by default the same."""
    pictures = [(n * FRAME_S, True, n) for n in range(2000) if _within(spans_s, n * FRAME_S)]
    heard = spans_s if sound is None else sound
    sounds = [(n * 0.02, False, n) for n in range(4000) if _within(heard, n * 0.02)]
    for at_s, is_picture, number in sorted(pictures + sounds):
        if is_picture:
            is_key = number % GOP_FRAMES == 0
            watch.video(at_s, FRAME_S, is_key=is_key, is_corrupt=False)
        else:
            watch.audio(at_s, 0.02)


def _within(spans_s: tuple[tuple[float, float], ...], at_s: float) -> bool:
    return any(begin <= at_s < end for begin, end in spans_s)


def sent(*times_s: float, expected: int = 0, corrupt: int = 0) -> Sent:
    flags = [n < corrupt for n in range(len(times_s))]
    return Sent(times_s, flags, 1, expected)


SOUND = tuple(n + 0.46 for n in range(10))
HELD = (0.46, 1.46, 1.96, 1.96, 1.96, 5.46)  # slots 3 and 4 show what slot 2 shows


def test_a_sound_file_has_no_damage() -> None:
    """Pictures and sound throughout: nothing lost, all covered."""
    watch = DamageWatch(FRAME_S)
    play(watch, (0, 10))
    assert watch.sum_up(sent(*SOUND)) == Damage()


def test_a_still_picture_is_no_damage() -> None:
    """Where the sound goes on, a picture that is held is only a low frame rate."""
    watch = DamageWatch(FRAME_S)
    play(watch, (0, 2), (5, 6), sound=((0, 6),))
    assert watch.sum_up(sent(*HELD)) == Damage()


def test_a_silent_still_picture_is_no_damage() -> None:
    """Without sound to compare with, a gap alone proves nothing."""
    watch = DamageWatch(FRAME_S)
    play(watch, (0, 2), (5, 6), sound=())
    assert watch.sum_up(sent(*HELD)) == Damage()


def test_a_gap_of_picture_and_sound_is_a_loss() -> None:
    """What both streams lack is counted, and the frames that stand in for it are frozen."""
    watch = DamageWatch(FRAME_S)
    play(watch, (0, 2), (5, 6))
    damage = watch.sum_up(sent(*HELD))
    assert damage.packets_lost == pytest.approx(75, abs=2)
    assert (damage.frozen_frames, damage.coverage) == (2, 0.667)


def test_a_gap_over_bytes_of_no_packet_is_a_loss() -> None:
    """A silent film whose demuxer skipped bytes at the gap has lost them."""
    watch = DamageWatch(FRAME_S)
    play(watch, (0, 2), sound=())
    watch.hole(40_000)
    play(watch, (5, 6), sound=())
    assert watch.sum_up(sent(*HELD)).frozen_frames == 2


@pytest.mark.parametrize("is_key_after", [True, False])
def test_frames_after_a_loss_are_doubtful_until_a_key_frame(*, is_key_after: bool) -> None:
    """A packet that does not decode taints the frames that follow, up to the next key frame."""
    watch = DamageWatch(FRAME_S)
    play(watch, (0, 2.2), sound=())
    watch.undecodable(2.2)
    for at_s in (2.24, 2.48, 3.48, 4.48):
        is_key = is_key_after and at_s == 3.48
        watch.video(at_s, FRAME_S, is_key=is_key, is_corrupt=False)
    damage = watch.sum_up(sent(0.46, 1.46, 2.48, 3.48, 4.48))
    assert (damage.packets_lost, damage.coverage) == (1, 1.0)
    assert damage.doubtful_frames == (1 if is_key_after else 3)


def test_a_corrupt_packet_counts() -> None:
    """A packet that the demuxer marks is lost, and a frame that the decoder marks not covered."""
    watch = DamageWatch(FRAME_S)
    play(watch, (0, 2), sound=())
    watch.video(2.0, FRAME_S, is_key=False, is_corrupt=True)
    damage = watch.sum_up(sent(0.46, 1.46, corrupt=1))
    assert damage == Damage(packets_lost=1, coverage=0.5, doubtful_frames=1)


def test_a_corrupt_packet_proves_a_short_gap() -> None:
    """A gap too short to mean anything by itself is a loss beside a packet that is marked."""
    watch = DamageWatch(FRAME_S)
    play(watch, (0, 2), sound=())
    watch.video(2.0, FRAME_S, is_key=False, is_corrupt=True)
    watch.video(2.48, FRAME_S, is_key=True, is_corrupt=False)
    assert watch.packets_lost == 12


def test_a_missing_end_is_not_covered() -> None:
    """Slots that the file promised and does not have count against it."""
    watch = DamageWatch(FRAME_S)
    play(watch, (0, 4))
    damage = watch.sum_up(sent(0.46, 1.46, 2.46, 3.46, expected=10))
    assert (damage.coverage, damage.packets_lost) == (0.4, 150)


def test_reordered_frames_of_a_slow_film_are_no_gap() -> None:
    """At one frame a second, the frame that B-frames refer to comes four seconds early."""
    watch = DamageWatch(1.0)
    for at_s in (0.0, 4.0, 2.0, 1.0, 3.0, 8.0, 6.0, 5.0, 7.0):
        watch.video(at_s, 1.0, is_key=at_s == 0, is_corrupt=False)
        watch.audio(at_s, 1.0)
    assert watch.packets_lost == 0
