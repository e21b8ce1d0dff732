"""Opens untrusted media files, and reads facts, rates and streams from them (worker process)."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import cast

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from captionfleet.errors import FailureCode, MediaError
from captionfleet.media.facts.geometry import Turn, upright_turn
from captionfleet.media.facts.side_data import display_matrix
from captionfleet.media.opening.ending import ends_regularly
from captionfleet.media.opening.signature import ReadAt, Verdict, judge
from captionfleet.media.opening.source_bytes import SourceBytes, not_readable, opened
from captionfleet.messages import Source

__all__ = [
    "audio_candidates",
    "choose_audio",
    "choose_video",
    "ends_whole",
    "has_no_timestamps",
    "nominal_rate",
    "open_media",
    "reading_at",
    "start_ticks",
    "ticks_of",
    "turn_of",
]

# A text file with a video's name may be a playlist that names other files (concat, HLS, DASH, image
# sequences): only containers that hold their own media are opened.
_FORMATS = (
    "aiff,amr,apng,asf,av1,avi,dv,flac,flv,gif,h261,h263,h264,hevc,ivf,m4v,matroska,webm,mjpeg,"
    "mov,mp4,m4a,3gp,3g2,mj2,mp3,mpeg,mpegts,mpegvideo,mxf,nsv,nut,obu,ogg,rm,roq,smk,swf,vc1,"
    "wav,wtv,yuv4mpegpipe"
)
# PyAV makes libav fill in a missing PTS with the next packet's DTS. That is right for codecs that
# return one frame for each packet, a packet later, and one frame late for all others. FFmpeg's
# command line leaves the PTS missing, and takes the DTS with which the frame came out.
_INVENTED_PTS = 0x0001  # AVFMT_FLAG_GENPTS
_ONE_IN_ONE_OUT = frozenset({"mpeg1video", "mpeg2video", "mpeg4"})
_TIMESTAMPS_OF_ITS_OWN_BITS = 0x0080  # AVFMT_NOTIMESTAMPS
_CODES = {
    Verdict.NO_VIDEO: FailureCode.NOT_VIDEO,
    Verdict.CUT_OFF: FailureCode.CUT_OFF,
    Verdict.DAMAGED: FailureCode.UNDECODABLE,
}


@contextmanager
def open_media(source: Source, max_pixels: int) -> Iterator[InputContainer]:
    """Open a source as media, and map every error to a failure code.

    It reads only the file that was found: that is opened once, by descriptor, and libav gets no
    file name, no other protocol and no container that refers to other files.

    Raises:
        MediaError: the file is not the one that was found, or is unreadable, empty, cut off or not
            a video.
    """
    with opened(source) as file:
        try:
            container = av.open(
                file.target,
                options={
                    "fd": str(file.descriptor),
                    "protocol_whitelist": "fd",
                    "format_whitelist": _FORMATS,
                },
                metadata_errors="replace",
            )
        except (av.FFmpegError, OSError, MemoryError, ValueError) as error:
            raise _opening_failed(error, file) from None
        with container:
            for stream in container.streams:
                _prepare_decoder(stream.codec_context, max_pixels)
            if has_no_timestamps(container) or not _is_one_in_one_out(container):
                container.flags &= ~_INVENTED_PTS
            _beside[id(container)] = file
            try:
                yield container
            finally:
                del _beside[id(container)]


def _prepare_decoder(context: object, max_pixels: int) -> None:
    if isinstance(context, av.CodecContext):
        context.thread_count = 1
    if isinstance(context, VideoCodecContext):  # the picture size may grow midway
        context.options = {"max_pixels": str(max_pixels)}


def _is_one_in_one_out(container: InputContainer) -> bool:
    return any(
        s.codec_context is not None and s.codec_context.name in _ONE_IN_ONE_OUT
        for s in container.streams.video
    )


_beside: dict[int, SourceBytes] = {}


def ends_whole(container: InputContainer) -> bool:
    """Whether the file holds everything that the open container announces."""
    file = _beside[id(container)]
    return ends_regularly(container.format.name, file.read_at, file.size_bytes)


def reading_at(container: InputContainer) -> ReadAt:
    """A function that reads the open container's file at any offset, without moving in it."""
    return _beside[id(container)].read_at


def _opening_failed(error: Exception, file: SourceBytes) -> MediaError:
    if isinstance(error, MemoryError):
        detail = "its index needs more memory or streams than are allowed"
        return MediaError(FailureCode.OUT_OF_MEMORY, detail)
    return _unreadable_container(error, file)


def _unreadable_container(error: Exception, file: SourceBytes) -> MediaError:
    """Explain why libav gave up; its EIO and EPERM are as often about content as the disk."""
    try:
        verdict = judge(
            file.read_at,
            file.size_bytes,
            met_end=isinstance(error, EOFError) or getattr(error, "errno", None) == errno.EIO,
        )
    except OSError as disk_error:
        return not_readable(disk_error)
    return MediaError(_CODES[verdict], verdict.value)


def choose_video(container: InputContainer, max_pixels: int) -> VideoStream:
    """The stream that FFmpeg's command line would choose.

    It skips cover art, and prefers a stream in which packets were seen, then the most pixels.

    Raises:
        MediaError: there is none, no decoder for it, or its pictures are too large.
    """
    candidates = [s for s in container.streams.video if not _is_picture(s)]
    if not candidates:
        raise MediaError(FailureCode.NO_VIDEO_STREAM, "the file holds no video stream")
    chosen = max(candidates, key=_preference)
    context = cast("VideoCodecContext | None", chosen.codec_context)
    if context is None:
        raise MediaError(FailureCode.UNSUPPORTED_CODEC, "no decoder for the video stream")
    pixels = max(context.width * context.height, context.coded_width * context.coded_height)
    if pixels > max_pixels:
        raise MediaError(FailureCode.LIMIT_EXCEEDED, f"{pixels} pixels, {max_pixels} are allowed")
    return chosen


def _preference(stream: VideoStream) -> tuple[bool, int, int]:
    context = cast("av.VideoCodecContext | None", stream.codec_context)
    pixels = context.width * context.height if context else 0
    score = pixels + 5_000_000 * bool(stream.disposition & Disposition.default)
    return stream.start_time is not None, score, -stream.index


def _is_picture(stream: VideoStream) -> bool:
    return bool(stream.disposition & (Disposition.attached_pic | Disposition.timed_thumbnails))


def choose_audio(
    container: InputContainer, beside: VideoStream | None = None
) -> AudioStream | None:
    """The default audio track, else the first; None if no track can be decoded."""
    return next(iter(audio_candidates(container, beside)), None)


def audio_candidates(
    container: InputContainer, beside: VideoStream | None = None
) -> list[AudioStream]:
    """The decodable audio tracks, best first: the default one, then in the file's order.

    Tracks in which probing saw no packet come last. In a multiplex of several programmes, only the
    sound of the programme of the video `beside` counts.
    """
    if (
        beside is not None
        and container.format.name == "mpegts"
        and len(container.streams.video) > 1
    ):
        related = cast("AudioStream | None", container.streams.best("audio", related=beside))
        return [related] if related is not None else []
    heard = [
        s
        for s in container.streams.audio
        if cast("av.AudioCodecContext | None", s.codec_context) is not None
    ]
    return sorted(heard, key=_audio_order)


def _audio_order(stream: AudioStream) -> tuple[bool, bool, int]:
    is_default = bool(stream.disposition & Disposition.default)
    return stream.start_time is None, not is_default, stream.index


def start_ticks(container: InputContainer, time_base: Fraction) -> int:
    """The start time of the file in a stream's ticks, rounded as FFmpeg's command line does."""
    start = cast("int | None", container.start_time)
    return 0 if start is None else _rescaled(start, time_base)


def ticks_of(seconds: float, time_base: Fraction) -> int:
    """Seconds in a stream's ticks, rounded as the fps filter rounds its start_time."""
    return _rescaled(round(seconds * av.time_base), time_base)


def _rescaled(microseconds: int, time_base: Fraction) -> int:
    ratio = Fraction(1, av.time_base) / time_base
    return (1 if microseconds >= 0 else -1) * int(abs(microseconds) * ratio + Fraction(1, 2))


def nominal_rate(stream: VideoStream) -> Fraction | None:
    """The stream's nominal frames per second; None if it has no plausible value."""
    rate = stream.codec_context.framerate or stream.average_rate
    return Fraction(rate) if rate else None


def has_no_timestamps(container: InputContainer) -> bool:
    """Whether the format stores no times, so that libav makes them up."""
    return bool(container.format.flags & _TIMESTAMPS_OF_ITS_OWN_BITS)


def turn_of(frame: VideoFrame) -> Turn:
    """How the frame has to be turned to be upright."""
    return upright_turn(frame.rotation, display_matrix(frame))
