"""What is known of models, and what media cost them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from captionfleet.config import DeploymentConfig
from captionfleet.profiles import PROFILES, profile_of, unknown_fields
from captionfleet.profiles.models import qwen_frame_px

OMNI = "accounts/A/models/qwen3-omni-30b-a3b-instruct#accounts/A/deployments/D"


def tokens(name: Any, frames: int, width_px: int, height_px: int) -> int:
    """The video tokens of a known model."""
    counted = PROFILES[name].video_tokens
    assert counted is not None
    return counted(frames, width_px, height_px, 1.0)


@pytest.mark.parametrize(
    ("model", "name"),
    [
        (OMNI, "qwen3-omni"),
        ("Qwen/Qwen3-Omni-30B-A3B-Instruct", "qwen3-omni"),
        ("accounts/fireworks/models/molmo2-4b#accounts/A/deployments/D", "molmo2-4b"),
        ("allenai/Molmo2-8B", "molmo2-8b"),
        ("allenai/Molmo2-O-7B", "molmo2-8b"),
        ("accounts/A/deployments/qwen3-omni", "qwen3-omni"),
        ("accounts/A/deployments/D", "generic"),
        ("accounts/A/models/other#accounts/A/deployments/molmo2", "generic"),
        ("Qwen/Qwen2.5-Omni-7B", "generic"),
        ("Qwen/Qwen3-VL-8B-Instruct", "qwen3-vl"),
        ("qwen3-vl:8b", "qwen3-vl"),
        ("ggml-org/Qwen2.5-VL-7B-Instruct-GGUF", "qwen2.5-vl"),
        ("qwen2.5vl:7b", "qwen2.5-vl"),
        ("Qwen2-VL-2B-Instruct", "qwen2.5-vl"),
    ],
)
def test_a_model_is_known_by_its_string(model: str, name: str) -> None:
    """The model's own name decides, in any spelling, and a deployment's name after # does not."""
    assert profile_of(model).name == name
    assert profile_of(model, "molmo2-8b").name == "molmo2-8b"


@pytest.mark.parametrize(
    ("size", "expected"),
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
def test_qwen_counts_as_its_own_code_does(size: tuple[int, int], expected: int) -> None:
    """Two frames of these sizes cost what transformers' processor makes of them."""
    assert tokens("qwen3-omni", 2, *size) == tokens("qwen3-omni", 3, *size) == expected


# What Qwen2VLImageProcessor of transformers 5.19.0 makes of a picture with each model's settings.
SIZES = (
    (640, 360), (480, 360), (640, 272), (204, 360), (426, 240), (852, 480),
    (1280, 720), (32, 32), (180, 180), (320, 180), (3840, 2160), (8000, 3000),
)  # fmt: skip
COUNTED = {
    "qwen3-omni": (220, 165, 160, 66, 104, 405, 880, 4, 36, 60, 8160, 12376),
    "qwen3-vl": (220, 165, 160, 66, 104, 405, 880, 64, 64, 66, 8160, 16302),
    "qwen2.5-vl": (299, 221, 230, 91, 135, 510, 1196, 4, 36, 66, 10549, 16302),
}


@pytest.mark.parametrize("name", COUNTED)
def test_qwen_counts_pictures_as_its_own_code_does(name: Any) -> None:
    """One picture costs what the processor says, and a mark before and after it."""
    counted = PROFILES[name].picture_tokens
    assert counted is not None
    assert tuple(counted(*size) - 2 for size in SIZES) == COUNTED[name]


@given(st.integers(16, 4096), st.integers(32, 2160))
def test_qwen_frames_stay_within_their_bounds(width_px: int, height_px: int) -> None:
    """Whatever a clip's shape, sides are multiples of 32 and the area is bounded from above."""
    width, height = qwen_frame_px(width_px, height_px)
    assert width % 32 == height % 32 == 0
    assert width * height <= max(786_432, 32 * max(width, height))


def test_a_minute_of_each() -> None:
    """A minute is 7,380 tokens to Qwen3-Omni, and to Molmo2 the same at any size."""
    assert tokens("qwen3-omni", 60, 640, 360) + PROFILES["qwen3-omni"].audio_tokens(60) == 7380
    assert tokens("molmo2-8b", 60, 640, 360) == tokens("molmo2-4b", 60, 204, 360)
    # 60 frames, 10 times of four characters and 50 of five, and a space between every two.
    assert tokens("molmo2-8b", 60, 640, 360) == 60 * 83 + 10 * 4 + 50 * 5 + 59
    assert PROFILES["molmo2-8b"].audio_tokens(60) == 0


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"model": OMNI}, ("video", "audio")),
        ({"model": "allenai/Molmo2-8B"}, ("video",)),
        ({"model": "allenai/Molmo2-8B", "modalities": ["video", "audio"]}, ("video", "audio")),
        ({"model": "m", "profile": "molmo2-4b"}, ("video",)),
        ({"model": "allenai/Molmo2-8B", "profile": "generic"}, ("video", "audio")),
    ],
)
def test_modalities_follow_from_the_profile(
    fields: dict[str, Any], expected: tuple[str, ...]
) -> None:
    """Molmo2 gets no sound unless the job says so."""
    config = DeploymentConfig.model_validate({"base_url": "http://h/v1"} | fields)
    assert config.modalities == expected


def test_unknown_fields_are_named_for_fireworks_alone() -> None:
    """Where vLLM passes over what it does not know, Fireworks refuses the request."""
    fields = {"top_k": 1, "mm_processor_kwargs": {}, "media_io_kwargs": {}}
    refused = unknown_fields(fields, speaks_fireworks=True)
    assert refused == ("media_io_kwargs", "mm_processor_kwargs")
    assert unknown_fields(fields, speaks_fireworks=False) == ()
