"""Lists known models: what media they take, and how many tokens those cost; pure (main process)."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

__all__ = [
    "NAMED_LATER",
    "PROFILES",
    "Profile",
    "ProfileName",
    "profile_of",
    "qwen_frame_px",
    "text_tokens_between",
]

ProfileName = Literal["qwen3-omni", "qwen3-vl", "qwen2.5-vl", "molmo2-4b", "molmo2-8b", "generic"]
Modality = Literal["video", "audio"]

_QWEN_SIDE_PX = 32
_QWEN_LEAST_PX = 131_072
_QWEN_MOST_PX = 786_432
_QWEN_PICTURE_MARKS = 2  # <|vision_start|> and <|vision_end|>
_QWEN_AUDIO_TOKENS_PER_S = 13
_MOST_BYTES_PER_TOKEN = 8
_TEMPLATE_TOKENS = 64
_MOLMO_PATCH_TOKENS = 9 * 9
_MOLMO_FRAME_MARKS = 2


@dataclass(frozen=True, slots=True)
class Profile:
    """The facts about a model.

    Attributes:
        video_tokens: Prompt tokens of a video, from frames, width and height in pixels and
            frames per second; None if unknown.
        picture_tokens: Prompt tokens of one `image_url`, from width and height in pixels, by the
            model's own processor; None if unknown.
        audio_tokens_per_s: None for a model without sound, or if unknown.
        frames_in_pairs: Whether an odd last frame is lost.
        gpu: The GPU of the predefined deployment shape, by its name in the price table.
    """

    name: ProfileName
    modalities: tuple[Modality, ...]
    video_tokens: Callable[[int, int, int, float], int] | None = None
    picture_tokens: Callable[[int, int], int] | None = None
    audio_tokens_per_s: float | None = None
    frames_in_pairs: bool = False
    gpu: str | None = None

    def audio_tokens(self, seconds: float) -> int:
        """Prompt tokens of a sound track; 0 for a model without sound."""
        return round(seconds * (self.audio_tokens_per_s or 0.0))

    def sent_as_frames(self, *, is_counted: bool) -> "Profile":
        """The profile for frames that are sent as pictures.

        Args:
            is_counted: Whether the server's images cost as many tokens as the model's own processor
                gives.
        """
        counted = self.picture_tokens if is_counted else None
        if counted is None:
            return replace(self, video_tokens=None)
        return replace(self, video_tokens=partial(_pictures, counted), frames_in_pairs=False)


def _pictures(counted: Callable[[int, int], int], frames: int, *rest: float) -> int:
    width_px, height_px = map(int, rest[:2])
    return frames * counted(width_px, height_px)


def qwen_frame_px(width_px: int, height_px: int) -> tuple[int, int]:
    """Width and height to which Qwen3-Omni scales a frame of a video."""
    return _qwen_px(width_px, height_px, _QWEN_SIDE_PX, (_QWEN_LEAST_PX, _QWEN_MOST_PX))


def _qwen_px(
    width_px: int, height_px: int, side_px: int, bounds_px: tuple[int, int]
) -> tuple[int, int]:
    """Width and height to which Qwen's processors scale a picture.

    Sides are rounded to the nearest multiple of `side_px`; a picture outside the bounds is scaled
    into them with its shape kept, to whole multiples (`smart_resize` in `Qwen2VLVideoProcessor` and
    `Qwen2VLImageProcessor` of transformers 5).
    """
    least, most = bounds_px
    width, height = (_multiple(side, side_px, round) for side in (width_px, height_px))
    if least <= width * height <= most:
        return width, height
    bound, rounded = (most, math.floor) if width * height > most else (least, math.ceil)
    scale = math.sqrt(bound / (width_px * height_px))
    return (
        _multiple(width_px * scale, side_px, rounded),
        _multiple(height_px * scale, side_px, rounded),
    )


def _multiple(length_px: float, side_px: int, rounded: Callable[[float], int]) -> int:
    return max(1, rounded(length_px / side_px)) * side_px


def _qwen_picture(side_px: int, least_px: int, most_px: int) -> Callable[[int, int], int]:
    """One token for each square of `side_px` pixels, and two marks.

    The bounds are those of `preprocessor_config.json` in the model's repository on Hugging Face.
    """

    def tokens(width_px: int, height_px: int) -> int:
        width, height = _qwen_px(width_px, height_px, side_px, (least_px, most_px))
        return (width // side_px) * (height // side_px) + _QWEN_PICTURE_MARKS

    return tokens


def _qwen_video_tokens(frames: int, width_px: int, height_px: int, fps: float) -> int:  # noqa: ARG001 - its time marks are not tokens
    """One token for each 32x32 pixels of two frames; an odd last frame is dropped."""
    width, height = qwen_frame_px(width_px, height_px)
    return frames // 2 * (width // _QWEN_SIDE_PX) * (height // _QWEN_SIDE_PX)


def _molmo_video_tokens(frames: int, width_px: int, height_px: int, fps: float) -> int:  # noqa: ARG001 - every frame becomes 378x378
    """81 patches, a start, an end and the text of its time for each frame.

    A frame of any shape becomes 378x378 pixels, in 27x27 patches pooled 3x3; its time is
    written as "0.0 " before the first frame and as " 12.0 " before each other one (Molmo2's
    processor in transformers 5). Qwen's tokenizer, on which Molmo2 builds, makes one token of each
    digit, point and single space, so each character is a token.
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
            _qwen_picture(32, 3_136, 12_845_056),
            _QWEN_AUDIO_TOKENS_PER_S,
            frames_in_pairs=True,
            gpu="H200 141GB",
        ),
        # A video's tokens depend on the processor's version, so they are unknown.
        Profile("qwen3-vl", ("video",), picture_tokens=_qwen_picture(32, 65_536, 16_777_216)),
        Profile("qwen2.5-vl", ("video",), picture_tokens=_qwen_picture(28, 3_136, 12_845_056)),
        _molmo("molmo2-4b"),
        _molmo("molmo2-8b"),
        Profile("generic", ("video", "audio")),
    )
}
"""By name. `generic` is any OpenAI-compatible server with an unknown model."""

NAMED_LATER: frozenset[ProfileName] = frozenset({"qwen3-vl", "qwen2.5-vl"})
"""Models that were `generic` in earlier versions, and whose captions still count."""

_NAMES: tuple[tuple[str, ProfileName], ...] = (
    (r"qwen-?3-omni", "qwen3-omni"),
    (r"qwen-?3-?vl", "qwen3-vl"),
    (r"qwen-?2(\.5)?-?vl", "qwen2.5-vl"),
    (r"molmo-?2-4b", "molmo2-4b"),
    (r"molmo-?2", "molmo2-8b"),
)


def profile_of(model: str, name: str = "auto") -> Profile:
    """The profile of a model string, or the named one.

    A string that names only a deployment does not reveal its model.
    """
    if name in PROFILES:
        return PROFILES[name]
    plain = re.sub(r"[\s_]+", "-", model.partition("#")[0].lower())
    found = (known for pattern, known in _NAMES if re.search(pattern, plain))
    return PROFILES[next(found, "generic")]


def text_tokens_between(size_bytes: int) -> tuple[int, int]:
    """Bounds for the tokens of a request's text, including chat template and media marks.

    Without a tokenizer: a token is at least one byte, and prose in any script has four or five
    bytes per token, so an average of eight is impossible.
    """
    return size_bytes // _MOST_BYTES_PER_TOKEN, size_bytes + _TEMPLATE_TOKENS
