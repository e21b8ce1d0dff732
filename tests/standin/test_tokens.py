"""Token arithmetic."""

from dataclasses import replace

import pytest

from captionfleet.standin.tokens import audio_tokens, prompt_tokens, resized_px, video_tokens
from tests.standin.media import AUDIO, VIDEO


@pytest.mark.parametrize(
    ("size", "tokens"),
    [
        ((640, 360), 220),
        ((480, 360), 165),
        ((640, 272), 160),
        ((204, 360), 144),
        ((426, 240), 144),
        ((852, 480), 405),
        ((1280, 720), 720),
    ],
)
def test_qwen_tokens_per_pair_of_frames(size: tuple[int, int], tokens: int) -> None:
    """A pair of frames costs what the model's own resizing makes of its size."""
    width, height = resized_px(*size)
    assert (width // 32) * (height // 32) == tokens


def test_qwen_minute_with_sound() -> None:
    """A minute at 360p costs 6600 tokens of video, 780 of audio, and its text."""
    assert video_tokens("qwen3-omni", VIDEO) == 6600
    assert audio_tokens(AUDIO) == 780
    assert prompt_tokens("qwen3-omni", "x" * 17, VIDEO, AUDIO) == 6600 + 780 + 5


def test_qwen_drops_an_odd_last_frame() -> None:
    """The last of an odd number of frames costs nothing."""
    assert video_tokens("qwen3-omni", replace(VIDEO, frames=61)) == 6600


def test_molmo_counts_frames_and_their_times() -> None:
    """Molmo2 pays 81 patches, a start, an end and the time of each frame, at any size."""
    ten = replace(VIDEO, frames=12, width=1920, height=1080)
    spaced = "0.0  1.0  2.0  3.0  4.0  5.0  6.0  7.0  8.0  9.0  10.0  11.0 "
    assert video_tokens("molmo2", ten) == 12 * (81 + 2) + len(spaced)
