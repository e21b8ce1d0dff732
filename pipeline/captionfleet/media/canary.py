"""Generates test clips that show which frames and sound a server perceives (worker process)."""

import math
import random
from array import array
from dataclasses import replace
from pathlib import Path

from av.video.frame import VideoFrame

from captionfleet.media.drafts import sha256_of
from captionfleet.media.orders import CanaryOrder
from captionfleet.media.picture.encode import write_mp4
from captionfleet.media.picture.jpeg import evenly_chosen, write_jpegs
from captionfleet.media.picture.picture import smaller
from captionfleet.media.sound.writer import SAMPLE_RATE_HZ, SoundWriter
from captionfleet.messages import MediaFacts, MediaSpec, base64_bytes

__all__ = ["make_canary"]

_BLACK, _WHITE, _NO_COLOUR = 16, 235, 128
# The segments of each digit: top, upper left, upper right, middle, lower left, lower right, bottom.
_SEGMENTS = {
    "2": "1011101", "3": "1011011", "4": "0111010", "5": "1101011",
    "6": "1101111", "7": "1010010", "9": "1111011",
}  # fmt: skip
_LOUDNESS = 9000  # of 32,767
_LOOP_S = 2


def make_canary(order: CanaryOrder) -> MediaFacts:
    """Write the test clip's video and sound at the order's `hold`, in the form of its settings.

    The frames are black with a white square in the upper left corner; digits appear and vanish in
    the middle.
    """
    hold, spec = Path(order.hold), order.spec
    form = spec.form
    video, audio = hold.with_suffix(form.video_ending), hold.with_suffix(form.audio_ending)
    width_px = round(spec.height_px * 16 / 9 / 2) * 2
    drawn = {digit: _picture(digit, width_px, spec.height_px) for digit in ["", *_SEGMENTS]}
    pictures = [drawn[_shown_at(order, number)] for number in range(order.frames)]
    chosen = list(range(order.frames))
    frame_bytes: tuple[int, ...] = ()
    if form.video_as == "frames":
        chosen = evenly_chosen(order.frames, form.max_frames)
        height_px = min(form.frame_height_px or spec.height_px, spec.height_px)
        if height_px != spec.height_px:
            drawn = {digit: smaller(picture, height_px) for digit, picture in drawn.items()}
        pictures = [drawn[_shown_at(order, number)] for number in chosen]
        frame_bytes = write_jpegs(video, pictures, form.jpeg_quality)
    else:
        write_mp4(video, pictures, spec, spec.crf)
    has_audio = order.sound != "none" and form.audio_as != "none"
    if has_audio:
        writer = SoundWriter(audio, spec.audio_bitrate, form.audio_format)
        seconds = round(order.frames / spec.fps)
        _write_sound(writer, seconds, is_silent=order.sound == "silence")
    facts = _facts(order, spec, video, audio if has_audio else None, pictures[0])
    times_s = tuple(number / spec.fps for number in chosen)
    return replace(facts, frames=len(chosen), frame_times_s=times_s, frame_bytes=frame_bytes)


def _facts(
    order: CanaryOrder, spec: MediaSpec, video: Path, audio: Path | None, first: VideoFrame
) -> MediaFacts:
    sizes = video.stat().st_size, audio.stat().st_size if audio else 0
    seconds = order.frames / spec.fps
    return MediaFacts(
        frames=order.frames,
        width=first.width,
        height=first.height,
        has_audio=audio is not None,
        audio_s=seconds if audio else 0.0,
        sampling=spec.sampling,
        video_bytes=sizes[0],
        audio_bytes=sizes[1],
        payload_bytes=base64_bytes(*sizes),
        video_sha256=sha256_of(video),
        audio_sha256=sha256_of(audio) if audio else None,
        source_codec="canary",
        source_width=first.width,
        source_height=first.height,
        source_s=seconds,
        video_as=spec.form.video_as,
        audio_as=spec.form.audio_as,
        audio_format=spec.form.audio_format,
    )


def _shown_at(order: CanaryOrder, number: int) -> str:
    return next((digit for digit, first, end in order.shown if first <= number < end), "")


def _picture(digit: str, width_px: int, height_px: int) -> VideoFrame:
    luma = [bytearray([_BLACK]) * width_px for _ in range(height_px)]
    margin, side = height_px // 24, height_px // 6
    _fill(luma, margin, margin, side, side)
    if digit:
        _draw_digit(luma, digit, width_px, height_px)
    frame = VideoFrame(width_px, height_px, "yuv420p")
    white = [bytes(row) for row in luma]
    grey = [bytes([_NO_COLOUR]) * (width_px // 2)] * (height_px // 2)
    for plane, rows in zip(frame.planes, (white, grey, grey), strict=True):
        plane.update(b"".join(row.ljust(plane.line_size, b"\0") for row in rows))
    return frame


def _draw_digit(luma: list[bytearray], digit: str, width_px: int, height_px: int) -> None:
    """Seven segments in a box of three fifths of the height, half as wide, in the middle."""
    tall = height_px * 3 // 5
    wide, stroke = tall // 2, tall // 6
    left, top = (width_px - wide) // 2, (height_px - tall) // 2
    right, middle, bottom = left + wide - stroke, top + (tall - stroke) // 2, top + tall - stroke
    half = tall // 2
    bars = (
        (left, top, wide, stroke),
        (left, top, stroke, half),
        (right, top, stroke, half),
        (left, middle, wide, stroke),
        (left, top + tall - half, stroke, half),
        (right, top + tall - half, stroke, half),
        (left, bottom, wide, stroke),
    )
    for is_lit, bar in zip(_SEGMENTS[digit], bars, strict=True):
        if is_lit == "1":
            _fill(luma, *bar)


def _fill(luma: list[bytearray], left: int, top: int, width: int, height: int) -> None:
    for row in luma[top : top + height]:
        row[left : left + width] = bytes([_WHITE]) * width


def _write_sound(writer: SoundWriter, seconds: int, *, is_silent: bool) -> None:
    loop = bytes(2 * SAMPLE_RATE_HZ * _LOOP_S) if is_silent else _voice()
    for _ in range(-(-seconds // _LOOP_S)):
        writer.write(loop[: 2 * SAMPLE_RATE_HZ * min(_LOOP_S, seconds)])
        seconds -= _LOOP_S
    writer.finish()


def _voice() -> bytes:
    """Two seconds of babble: a gliding pitch with overtones, in syllables, and a hiss between."""
    noise = random.Random(7)  # noqa: S311 - a hiss
    samples = array("h")
    for number in range(SAMPLE_RATE_HZ * _LOOP_S):
        time_s = number / SAMPLE_RATE_HZ
        phase = math.tau * (130 * time_s - 4 * math.cos(math.tau * 0.5 * time_s))
        voice = sum(math.sin(phase * overtone) / overtone for overtone in (1, 2, 3, 5))
        syllable = max(math.sin(math.tau * 4 * time_s), 0.0)
        samples.append(round(_LOUDNESS * (0.9 * syllable * voice + noise.uniform(-0.1, 0.1))))
    return samples.tobytes()
