"""Opens untrusted media and reads its facts; the one place that reads rates (worker process)."""

import os
import stat
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from fractions import Fraction
from typing import cast

import av
from av.audio.stream import AudioStream
from av.buffer import Buffer
from av.container import InputContainer
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from pipeline.errors import FailureCode, MediaError
from pipeline.workers.geometry import Turn, upright_turn

__all__ = [
    "choose_audio",
    "choose_video",
    "nominal_rate",
    "open_media",
    "source_seconds",
    "start_ticks",
    "turn_of",
]

# A text file under a video's name may be a playlist that names other files (concat, HLS, DASH,
# image sequences): only containers that hold their own media are opened.
_FORMATS = (
    "aiff,amr,apng,asf,av1,avi,dv,flac,flv,gif,h261,h263,h264,hevc,ivf,m4v,matroska,webm,mjpeg,"
    "mov,mp4,m4a,3gp,3g2,mj2,mp3,mpeg,mpegts,mpegvideo,mxf,nsv,nut,obu,ogg,rm,roq,smk,swf,vc1,"
    "wav,wtv,yuv4mpegpipe"
)
_TIMESTAMPS_OF_ITS_OWN_BITS = 0x0080  # AVFMT_NOTIMESTAMPS


@contextmanager
def open_media(path: str, max_pixels: int) -> Iterator[InputContainer]:
    """Open a regular file as media and map every error to its code.

    Raises:
        MediaError: not a regular file, vanished, unreadable, empty, cut off or no video.
    """
    _require_regular(path)
    try:
        container = av.open(
            path,
            options={
                "protocol_whitelist": "file",
                "format_whitelist": _FORMATS,
            },
            metadata_errors="replace",
        )
    except (av.FFmpegError, OSError, MemoryError, ValueError) as error:
        raise _opening_failed(error, path) from None
    with container:
        for stream in container.streams:
            context = cast("av.CodecContext | None", stream.codec_context)
            if context is not None:
                context.thread_count = 1
        for video in container.streams.video:
            if cast("av.CodecContext | None", video.codec_context) is not None:
                video.codec_context.options = {"max_pixels": str(max_pixels)}
        yield container


def _require_regular(path: str) -> None:
    try:
        facts = os.stat(path)  # noqa: PTH116 - the path may hold undecodable bytes
    except OSError as error:
        raise MediaError(_file_code(error), str(error.strerror)) from None
    if not stat.S_ISREG(facts.st_mode):
        raise MediaError(FailureCode.SOURCE_UNREADABLE, "not a regular file")
    if facts.st_size == 0:
        raise MediaError(FailureCode.EMPTY_FILE, "the file has no bytes")


def _file_code(error: OSError) -> FailureCode:
    missing = isinstance(error, FileNotFoundError | NotADirectoryError)
    return FailureCode.SOURCE_CHANGED if missing else FailureCode.SOURCE_UNREADABLE


def _opening_failed(error: Exception, path: str) -> MediaError:
    if isinstance(error, MemoryError):
        return MediaError(FailureCode.OUT_OF_MEMORY, "opening the file ran out of memory")
    if isinstance(error, av.error.InvalidDataError | EOFError):
        return _unreadable_container(path)
    if isinstance(error, FileNotFoundError | PermissionError | IsADirectoryError):
        return MediaError(_file_code(error), str(error.strerror))
    # A format outside the whitelist surfaces as "invalid argument".
    return MediaError(FailureCode.NOT_VIDEO, "no video container that this program opens")


def _unreadable_container(path: str) -> MediaError:
    """Tell a file that ends before its index from one that is no video at all."""
    with open(path, "rb") as file:  # noqa: PTH123 - the path may hold undecodable bytes
        head = file.read(64)
    starts = (
        head[4:8] in {b"ftyp", b"moov", b"mdat", b"wide"},
        head[:4] == b"\x1aE\xdf\xa3",
        head[:4] == b"RIFF" and head[8:12] == b"AVI ",
        head[:3] == b"FLV",
    )
    if any(starts):
        return MediaError(FailureCode.CUT_OFF, "the file ends before its index")
    return MediaError(FailureCode.NOT_VIDEO, "no video container that this program opens")


def choose_video(container: InputContainer) -> VideoStream:
    """The stream that FFmpeg's command line would choose.

    No cover art; then a stream in which packets were seen; then most pixels.

    Raises:
        MediaError: there is none, or no decoder for it.
    """
    candidates = [s for s in container.streams.video if not _is_picture(s)]
    if not candidates:
        raise MediaError(FailureCode.NO_VIDEO_STREAM, "the file holds no video stream")
    chosen = max(candidates, key=_preference)
    if chosen.codec_context is None:
        raise MediaError(FailureCode.UNSUPPORTED_CODEC, "no decoder for the video stream")
    return chosen


def _preference(stream: VideoStream) -> tuple[bool, int, int]:
    context = cast("av.VideoCodecContext | None", stream.codec_context)
    pixels = context.width * context.height if context else 0
    score = pixels + 5_000_000 * bool(stream.disposition & Disposition.default)
    return stream.start_time is not None, score, -stream.index


def _is_picture(stream: VideoStream) -> bool:
    return bool(stream.disposition & (Disposition.attached_pic | Disposition.timed_thumbnails))


def choose_audio(container: InputContainer) -> AudioStream | None:
    """The default audio track, else the first; None where nothing can be heard."""
    heard = [
        s
        for s in container.streams.audio
        if cast("av.AudioCodecContext | None", s.codec_context) is not None
    ]
    return max(
        heard, key=lambda s: (bool(s.disposition & Disposition.default), -s.index), default=None
    )


def start_ticks(container: InputContainer, time_base: Fraction) -> int:
    """The file's common zero in a stream's ticks, rounded as FFmpeg's command line does."""
    start = cast("int | None", container.start_time)
    if start is None:
        return 0
    ratio = Fraction(1, av.time_base) / time_base
    return (1 if start >= 0 else -1) * int(abs(start) * ratio + Fraction(1, 2))


def nominal_rate(stream: VideoStream) -> Fraction | None:
    """Frames per second that the stream claims; None where it claims nothing useful."""
    rate = stream.codec_context.framerate or stream.average_rate
    return Fraction(rate) if rate else None


def source_seconds(container: InputContainer, stream: VideoStream) -> float:
    """How long the source claims to be; 0.0 where it claims nothing."""
    if container.duration is not None and container.duration > 0:
        return container.duration / av.time_base
    if stream.duration is not None and stream.time_base is not None:
        return max(0.0, float(stream.duration * stream.time_base))
    return 0.0


def has_no_timestamps(container: InputContainer) -> bool:
    """Whether the format stores no times, so that those seen are made up."""
    return bool(container.format.flags & _TIMESTAMPS_OF_ITS_OWN_BITS)


def turn_of(frame: VideoFrame) -> Turn:
    """How the frame has to be turned to be upright."""
    side_data = cast("Mapping[str, Buffer]", frame.side_data)
    if "DISPLAYMATRIX" not in side_data:
        return Turn()
    raw = bytes(side_data["DISPLAYMATRIX"])
    return upright_turn(frame.rotation, struct.unpack(f"={len(raw) // 4}i", raw))
