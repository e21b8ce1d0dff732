"""The models that are known: what they take and the tokens it becomes; pure (main process)."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

__all__ = [
    "PROFILES",
    "Profile",
    "ProfileName",
    "profile_of",
    "qwen_frame_px",
    "text_tokens_between",
]

ProfileName = Literal["qwen3-omni", "molmo2-4b", "molmo2-8b", "generic"]
Modality = Literal["video", "audio"]

_QWEN_SIDE_PX = 32
_QWEN_LEAST_PX = 131_072
_QWEN_MOST_PX = 786_432
_QWEN_AUDIO_TOKENS_PER_S = 13
_MOST_BYTES_PER_TOKEN = 8
_TEMPLATE_TOKENS = 64
_MOLMO_PATCH_TOKENS = 9 * 9
_MOLMO_FRAME_MARKS = 2


@dataclass(frozen=True, slots=True)
class Profile:
    """What is known of a model.

    Attributes:
        video_tokens: Prompt tokens of a video, from frames, width and height in pixels and
            frames per second; None where nobody knows.
        audio_tokens_per_s: None for a model that does not hear, or where nobody knows.
        frames_in_pairs: Whether an odd last frame is lost.
        gpu: What the predefined deployment shape runs on, by the names of the price table.
    """

    name: ProfileName
    modalities: tuple[Modality, ...]
    video_tokens: Callable[[int, int, int, float], int] | None = None
    audio_tokens_per_s: float | None = None
    frames_in_pairs: bool = False
    gpu: str | None = None

    def audio_tokens(self, seconds: float) -> int:
        """Prompt tokens of a sound track; 0 for a model that does not hear."""
        return round(seconds * (self.audio_tokens_per_s or 0.0))


def qwen_frame_px(width_px: int, height_px: int) -> tuple[int, int]:
    """Width and height to which Qwen3-Omni brings a frame.

    Sides go to the nearest multiple of 32; a frame outside 131,072 to 786,432 pixels is scaled
    into them with its shape kept, down to whole multiples or up to them (`smart_resize` as
    `Qwen2VLVideoProcessor` has it in transformers 5).
    """
    width, height = (_multiple(side, round) for side in (width_px, height_px))
    if width * height > _QWEN_MOST_PX:
        scale = math.sqrt(_QWEN_MOST_PX / (width_px * height_px))
        return _multiple(width_px * scale, math.floor), _multiple(height_px * scale, math.floor)
    if width * height < _QWEN_LEAST_PX:
        scale = math.sqrt(_QWEN_LEAST_PX / (width_px * height_px))
        return _multiple(width_px * scale, math.ceil), _multiple(height_px * scale, math.ceil)
    return width, height


def _multiple(side_px: float, rounded: Callable[[float], int]) -> int:
    return max(1, rounded(side_px / _QWEN_SIDE_PX)) * _QWEN_SIDE_PX


def _qwen_video_tokens(frames: int, width_px: int, height_px: int, fps: float) -> int:  # noqa: ARG001 - its time marks are no tokens
    """One token for each 32x32 pixels of two frames; an odd last frame is dropped."""
    width, height = qwen_frame_px(width_px, height_px)
    return frames // 2 * (width // _QWEN_SIDE_PX) * (height // _QWEN_SIDE_PX)


def _molmo_video_tokens(frames: int, width_px: int, height_px: int, fps: float) -> int:  # noqa: ARG001 - every frame becomes 378x378
    """81 patches, a start, an end and the text of its time for each frame.

    A frame becomes 378x378 pixels whatever its shape, in 27x27 patches pooled 3x3; its time is
    written as "0.0 " before the first frame and as " 12.0 " before each other one (Molmo2's
    processor in transformers 5). Qwen's tokenizer, on which Molmo2 builds, makes a token of each
    digit, point and lone space, so each character is one.
    """
    times = sum(len(f" {frame / fps:.1f} ") for frame in range(frames))
    marked = frames * (_MOLMO_PATCH_TOKENS + _MOLMO_FRAME_MARKS)
    return marked + times - (frames > 0)


def _molmo(name: Literal["molmo2-4b", "molmo2-8b"]) -> Profile:
    return Profile(name, ("video",), _molmo_video_tokens)


PROFILES: dict[ProfileName, Profile] = {
    profile.name: profile
    for profile in (
        Profile(
            "qwen3-omni",
            ("video", "audio"),
            _qwen_video_tokens,
            _QWEN_AUDIO_TOKENS_PER_S,
            frames_in_pairs=True,
            gpu="H200 141GB",
        ),
        _molmo("molmo2-4b"),
        _molmo("molmo2-8b"),
        Profile("generic", ("video", "audio")),
    )
}
"""By name. `generic` is any OpenAI-compatible server with a model that is not known here."""

_NAMES: tuple[tuple[str, ProfileName], ...] = (
    (r"qwen-?3-omni", "qwen3-omni"),
    (r"molmo-?2-4b", "molmo2-4b"),
    (r"molmo-?2", "molmo2-8b"),
)


def profile_of(model: str, name: str = "auto") -> Profile:
    """The profile of a model string, or the one that is named.

    A string that names a deployment alone tells nothing of its model.
    """
    if name in PROFILES:
        return PROFILES[name]
    plain = re.sub(r"[\s_]+", "-", model.partition("#")[0].lower())
    found = (known for pattern, known in _NAMES if re.search(pattern, plain))
    return PROFILES[next(found, "generic")]


def text_tokens_between(size_bytes: int) -> tuple[int, int]:
    """Bounds for the tokens of a request's text, the chat template and media marks included.

    No tokenizer is at hand: a token is at least a byte, and prose in any script comes to four or
    five bytes a token, so eight on average are out of reach.
    """
    return size_bytes // _MOST_BYTES_PER_TOKEN, size_bytes + _TEMPLATE_TOKENS
