"""Which media the stand-in turns away."""

from dataclasses import replace
from typing import Any

import pytest

from captionfleet.standin.options import StandinOptions
from captionfleet.standin.spec import audio_violations, video_violations
from tests.standin.media import AUDIO, VIDEO

STRICT = StandinOptions(strict=True)
LENIENT = StandinOptions(strict=False)


def test_good_media_pass() -> None:
    """A clip as the guide prepares it has nothing wrong with it."""
    assert video_violations(VIDEO, STRICT) == []
    assert audio_violations(AUDIO, STRICT) == []


@pytest.mark.parametrize(
    ("wrong", "words", "always"),
    [
        ({"frames": 0}, "0 frame", True),
        ({"frames": 1}, "1 frame", True),
        ({"duration_s": 61.0}, "61.0 s", True),
        ({"frames": 59}, "odd number of frames", False),
        ({"width": 641}, "odd", False),
        ({"height": 361}, "odd", False),
        ({"pix_fmt": "yuv420p10le"}, "8-bit", False),
        ({"codec": "hevc"}, "hevc", False),
    ],
)
def test_wrong_video_is_refused(wrong: dict[str, Any], words: str, always: bool) -> None:  # noqa: FBT001 -- a row of the table
    """Each way in which a video can be wrong is a 400 that names it."""
    found = video_violations(replace(VIDEO, **wrong), STRICT)
    assert [refusal.status for refusal in found] == [400]
    assert words in found[0].message
    assert bool(video_violations(replace(VIDEO, **wrong), LENIENT)) == always


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"duration_s": 0.0}, "no samples"),
        ({"duration_s": 60.6}, "60.6 s"),
        ({"codec": "vorbis"}, "vorbis"),
        ({"channels": 2}, "2 channels"),
    ],
)
def test_wrong_audio_is_refused(wrong: dict[str, Any], words: str) -> None:
    """Each way in which a sound track can be wrong is a 400 that names it."""
    found = audio_violations(replace(AUDIO, **wrong), STRICT)
    assert [refusal.status for refusal in found] == [400]
    assert words in found[0].message


def test_molmo_takes_one_frame_and_odd_counts() -> None:
    """Molmo2's loader handles any number of frames from one."""
    molmo = StandinOptions(profile="molmo2")
    assert video_violations(replace(VIDEO, frames=1), molmo) == []
    assert video_violations(replace(VIDEO, frames=59), molmo) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"slots": 0},
        {"max_queue": -1},
        {"service_time_s": float("nan")},
        {"service_time_s": float("inf")},
        {"service_time_jitter": 1.5},
        {"modalities": ()},
        {"modalities": ("image",)},
        {"profile": "other"},
        {"api_key": ""},
        {"completion_tokens": 0},
    ],
)
def test_bad_options_are_refused(wrong: dict[str, Any]) -> None:
    """An option out of its range is an error that names it."""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        StandinOptions(**wrong)


def test_key_is_not_in_the_options_repr() -> None:
    """Options can be logged without giving the key away."""
    assert "hush" not in repr(StandinOptions(api_key="hush"))
