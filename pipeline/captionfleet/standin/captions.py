"""Composes captions from what was seen and heard, with hashes of the media; pure."""

from captionfleet.standin.protocol import Chat
from captionfleet.standin.senses.facts import AudioFacts, VideoFacts
from captionfleet.standin.tokens import CHARACTERS_PER_TOKEN

__all__ = ["asks_for_report", "describe", "fitted", "proof", "report", "shortened"]

_SILENT = 0.9
_YES_NO = {True: "yes", False: "no"}
_FILLER = " The scene goes on in the same way."


def describe(video: VideoFacts | None, audio: AudioFacts | None) -> str:
    """Return one to three sentences on the clip; the same facts give the same sentences."""
    if video is None and audio is None:
        return "No video and no sound came with this request."
    seen = _picture(video) if video else "There is nothing to see."
    return f"{seen} {_sound(audio)}"


def report(video: VideoFacts | None, audio: AudioFacts | None) -> str:
    """Return the line that answers a question about digits, a corner and sound."""
    digits, corner = (video.digits, video.corner) if video else ("", "")
    is_heard = audio is not None and audio.silent_fraction < _SILENT
    return f"DIGITS={digits or 'none'}; CORNER={corner or 'none'}; SOUND={_YES_NO[is_heard]}"


def asks_for_report(question: str) -> bool:
    """Whether a prompt asks for such a line."""
    return all(f"{name}=" in question for name in ("DIGITS", "CORNER", "SOUND"))


def proof(chat: Chat) -> str:
    """Return the closing lines that name the media: "video sha256 HEX", "audio sha256 HEX"."""
    named = (("video", chat.video_sha256), ("audio", chat.audio.sha256 if chat.audio else None))
    return "".join(f"\n{medium} sha256 {digest}" for medium, digest in named if digest)


def fitted(prose: str, ending: str, tokens: int | None) -> str:
    """Return prose and ending, padded or cut to exactly `tokens` if a length is set.

    The ending is cut last.
    """
    if tokens is None:
        return prose + ending
    room = tokens * CHARACTERS_PER_TOKEN - len(ending)
    if room <= 0:
        return ending[: tokens * CHARACTERS_PER_TOKEN]
    padding = _FILLER * (max(0, room - len(prose)) // len(_FILLER) + 1)
    return (prose + padding)[:room] + ending


def shortened(caption: str, max_tokens: int) -> tuple[str, str]:
    """Return the caption, cut to `max_tokens`, and the finish reason."""
    length = max_tokens * CHARACTERS_PER_TOKEN
    return (caption, "stop") if len(caption) <= length else (caption[:length], "length")


def _picture(video: VideoFacts) -> str:
    duration = "" if video.as_pictures else f" over {video.duration_s:.1f} seconds"
    cuts = {0: "no cut", 1: "one cut"}.get(video.cuts, f"{video.cuts} cuts")
    light = _word(video.brightness, (0.25, "dark"), (0.6, "evenly lit"), "bright")
    motion = _word(video.motion, (0.002, "nothing moves"), (0.04, "little moves"), "much moves")
    return (
        f"The clip shows {video.frames} frames of {video.width}x{video.height} pixels"
        f"{duration}, {light} (brightness {video.brightness:.2f}) and mostly "
        f"{video.colour}. From frame to frame {motion} (motion {video.motion:.3f}), with {cuts}."
    )


def _sound(audio: AudioFacts | None) -> str:
    if audio is None:
        return "No sound came with it."
    level = _word(audio.loudness_dbfs, (-50, "all but silent"), (-25, "quiet"), "loud")
    return (
        f"The sound lasts {audio.duration_s:.1f} seconds and is {level} "
        f"({audio.loudness_dbfs:.1f} dBFS), silent for {audio.silent_fraction:.0%} of the time."
    )


def _word(value: float, low: tuple[float, str], middle: tuple[float, str], high: str) -> str:
    return next((word for limit, word in (low, middle) if value < limit), high)
