"""Finds what a real deployment would refuse in media, with its 4xx; pure (server's process)."""

from collections.abc import Iterator

from captionfleet.standin.options import StandinOptions
from captionfleet.standin.refusals import Refusal, invalid
from captionfleet.standin.senses.facts import AudioFacts, VideoFacts
from captionfleet.standin.tokens import Profile

__all__ = ["DURATION_TOLERANCE_S", "audio_violations", "video_violations"]

DURATION_TOLERANCE_S = 0.5
"""Tolerance on the length: an encoder pads its last packet."""

_FEWEST_FRAMES: dict[Profile, int] = {"qwen3-omni": 2, "molmo2": 1}


def video_violations(video: VideoFacts, options: StandinOptions) -> list[Refusal]:
    """Return everything for which a server would refuse a video.

    Without `strict`, only what vLLM's loaders refuse: too few frames for the model, and clips that
    are too long. With it, also formats other than the guide's, and an odd number of frames, because
    Qwen-family servers silently drop the last one.
    """
    if video.as_pictures:
        return []
    found = list(_video_limits(video, options))
    return found + list(_video_format(video, options.profile)) if options.strict else found


def audio_violations(audio: AudioFacts, options: StandinOptions) -> list[Refusal]:
    """Return everything for which a server would refuse a sound track; see `video_violations`."""
    found = []
    if audio.duration_s == 0:
        found.append(invalid("the audio has no samples", "audio_url"))
    if audio.duration_s > options.max_seconds + DURATION_TOLERANCE_S:
        found.append(_too_long("audio", audio.duration_s, options))
    if options.strict and audio.codec not in {"opus", "pcm_s16le", "mp3"}:
        found.append(invalid(f"the audio is coded as {audio.codec}, not as Opus", "audio_url"))
    if options.strict and audio.channels != 1:
        found.append(invalid(f"the audio has {audio.channels} channels, not one", "audio_url"))
    return found


def _video_limits(video: VideoFacts, options: StandinOptions) -> Iterator[Refusal]:
    fewest = _FEWEST_FRAMES[options.profile]
    if video.frames < fewest:
        yield invalid(
            f"the video has {video.frames} frame(s); {options.profile} needs at least {fewest}",
            "video_url",
        )
    if video.duration_s > options.max_seconds + DURATION_TOLERANCE_S:
        yield _too_long("video", video.duration_s, options)


def _video_format(video: VideoFacts, profile: Profile) -> Iterator[Refusal]:
    if video.codec != "h264":
        yield invalid(f"the video is coded as {video.codec}, not as H.264", "video_url")
    if video.pix_fmt not in {"yuv420p", "yuvj420p"}:
        yield invalid(f"the pixel format is {video.pix_fmt}, not 8-bit yuv420p", "video_url")
    if video.width % 2 or video.height % 2:
        yield invalid(f"the frame size {video.width}x{video.height} is odd", "video_url")
    if profile == "qwen3-omni" and video.frames % 2 and video.frames > 1:
        yield invalid(f"the video has an odd number of frames, {video.frames}", "video_url")


def _too_long(medium: str, duration_s: float, options: StandinOptions) -> Refusal:
    message = f"the {medium} lasts {duration_s:.1f} s; at most {options.max_seconds:g} s are taken"
    return invalid(message, f"{medium}_url")
