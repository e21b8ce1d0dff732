"""Counts a request's tokens, by the arithmetic of the models' own code; pure."""

import math
from dataclasses import dataclass
from typing import Literal

from captionfleet.standin.senses.facts import AudioFacts, VideoFacts

__all__ = [
    "CHARACTERS_PER_TOKEN",
    "Profile",
    "Usage",
    "audio_tokens",
    "prompt_tokens",
    "resized_px",
    "text_tokens",
    "video_tokens",
]

Profile = Literal["qwen3-omni", "molmo2"]

CHARACTERS_PER_TOKEN = 4
"""Usual for English; the stand-in has no tokenizer."""

_QWEN_SIDE_PX = 32
_QWEN_FRAME_PX = (131_072, 786_432)
_QWEN_FRAMES_PER_GRID = 2
_QWEN_AUDIO_TOKENS_PER_S = 13
_MOLMO_FRAME_TOKENS = 9 * 9 + 2


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one request, as `usage` reports them."""

    prompt_tokens: int
    completion_tokens: int

    @property
    def total_tokens(self) -> int:
        """Prompt and completion tokens."""
        return self.prompt_tokens + self.completion_tokens


def resized_px(width: int, height: int) -> tuple[int, int]:
    """Return the width and height to which Qwen3-Omni scales a frame.

    Sides become multiples of 32, and the area comes to between 131,072 and 786,432 px, with the
    aspect ratio kept as far as possible (`smart_resize` of Qwen2-VL in transformers 5).
    """
    smallest, largest = _QWEN_FRAME_PX
    sides = tuple(max(1, round(side / _QWEN_SIDE_PX)) for side in (width, height))
    area = sides[0] * sides[1] * _QWEN_SIDE_PX**2
    if area > largest:
        shrink = math.sqrt(width * height / largest) * _QWEN_SIDE_PX
        sides = tuple(max(1, math.floor(side / shrink)) for side in (width, height))
    elif area < smallest:
        grow = math.sqrt(smallest / (width * height)) / _QWEN_SIDE_PX
        sides = tuple(math.ceil(side * grow) for side in (width, height))
    return sides[0] * _QWEN_SIDE_PX, sides[1] * _QWEN_SIDE_PX


def video_tokens(profile: Profile, video: VideoFacts) -> int:
    """Return the prompt tokens of a video.

    Qwen3-Omni: one token per 32x32 px of each pair of frames; an odd last frame is dropped. Molmo2:
    per frame 9x9 pooled patches, a start, an end and the text of its time, one token per character;
    a space separates a frame's end from the next time. Images sent one by one cost Qwen3-Omni one
    token per 32x32 px and two marks each; for Molmo2 the crops are not counted.
    """
    if video.as_pictures:
        width, height = (
            max(1, round(side / _QWEN_SIDE_PX)) for side in (video.width, video.height)
        )
        return video.frames * (_MOLMO_FRAME_TOKENS if profile == "molmo2" else width * height + 2)
    if profile == "molmo2":
        times = " ".join(f"{index / (video.fps or 1.0):.1f} " for index in range(video.frames))
        return video.frames * _MOLMO_FRAME_TOKENS + len(times)
    width, height = resized_px(video.width, video.height)
    per_grid = (width // _QWEN_SIDE_PX) * (height // _QWEN_SIDE_PX)
    return video.frames // _QWEN_FRAMES_PER_GRID * per_grid


def audio_tokens(audio: AudioFacts) -> int:
    """Return the prompt tokens of a sound track: 13 a second (Qwen3-Omni)."""
    return round(audio.duration_s * _QWEN_AUDIO_TOKENS_PER_S)


def text_tokens(text: str) -> int:
    """Estimate the tokens of a text: one for every four characters, rounded up."""
    return math.ceil(len(text) / CHARACTERS_PER_TOKEN)


def prompt_tokens(
    profile: Profile, text: str, video: VideoFacts | None, audio: AudioFacts | None
) -> int:
    """Return the prompt tokens of a request; chat-template tokens are not counted."""
    seen = video_tokens(profile, video) if video else 0
    heard = audio_tokens(audio) if audio else 0
    return seen + heard + text_tokens(text)
