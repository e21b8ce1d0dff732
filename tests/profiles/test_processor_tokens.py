"""The token arithmetic against the models' own processors, over 53 prepared clips.

The clips are films of 0.4 to 75 s in twelve shapes, prepared at heights of 240 to 720; the numbers
are what the processors of transformers 5.19.0 and vLLM 0.32.0 made of the very MP4 and Ogg files,
counted on 2026-11-25 by `benchmarks/interop/processor_tokens.py`.
"""

import csv
from pathlib import Path

import pytest

from captionfleet.profiles import PROFILES

TABLE = Path(__file__).with_name("processor_tokens.csv")
with TABLE.open(newline="") as file:
    CLIPS = list(csv.DictReader(file))


def test_there_are_all_kinds() -> None:
    """Clips of one pair of frames to 30, upright and wide, with sound and without."""
    frames = [int(clip["frames"]) for clip in CLIPS]
    assert (len(CLIPS), min(frames), max(frames)) == (53, 2, 60)
    assert {int(clip["height"]) for clip in CLIPS} == {240, 360, 480, 720}
    assert 5 < sum(clip["audio_s"] == "0.0" for clip in CLIPS) < 20


@pytest.mark.parametrize(
    ("profile", "column"), [("qwen3-omni", "qwen_video"), ("molmo2-8b", "molmo2")]
)
def test_videos_are_counted_exactly(profile: str, column: str) -> None:
    """To the token, clip by clip."""
    counted = next(one for one in PROFILES.values() if one.name == profile).video_tokens
    assert counted is not None
    own = {
        clip["clip"]: counted(int(clip["frames"]), int(clip["width"]), int(clip["height"]), 1.0)
        for clip in CLIPS
    }
    assert own == {clip["clip"]: int(clip[column]) for clip in CLIPS}


def test_sound_is_counted_to_one_token() -> None:
    """A second is 13 tokens, and the processor rounds by pieces."""
    for clip in CLIPS:
        own = PROFILES["qwen3-omni"].audio_tokens(float(clip["audio_s"]))
        assert abs(own - int(clip["qwen_audio"])) <= 1, clip["clip"]
