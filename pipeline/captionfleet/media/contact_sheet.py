"""Renders a clip's sent media for a person: a contact sheet and a waveform (worker process).

It shows exactly the media sent: the bytes are read once, and the hashed bytes are those decoded.
"""

import base64
import hashlib
import io
import math
import os
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import av
import av.filter
from av.audio.resampler import AudioResampler
from av.container import InputContainer
from av.video.frame import VideoFrame

from captionfleet.errors import FailureCode, MediaError
from captionfleet.media.orders import Sheet, SheetOrder
from captionfleet.media.source_file import descriptor_of

__all__ = ["Grid", "grid_of", "make_sheet"]

_FRAME_AREA_PX = 240 * 135
_SHEET_WIDTH_PX, _SHEET_HEIGHT_PX = 1300, 450
_LEAST_SIDE_PX = 16
_GAP_PX = 2
_MAX_FRAMES = 600
_QUALITY = "55"
_PEAKS = 240
_PEAK_RATE_HZ = 8000
_FULL_SCALE = 2**15
_MAX_SOUND_BYTES = 3 * 2**19  # a report has a size limit; this is ten minutes at 20 kbit/s


@dataclass(frozen=True, slots=True)
class Grid:
    """The layout of equal pictures on a sheet; sizes in pixels, without gaps."""

    columns: int
    rows: int
    width: int
    height: int

    @property
    def sheet_size(self) -> tuple[int, int]:
        """Width and height of the sheet, gaps included."""
        return (
            self.columns * self.width + (self.columns - 1) * _GAP_PX,
            self.rows * self.height + (self.rows - 1) * _GAP_PX,
        )

    @property
    def fits(self) -> bool:
        """Whether the sheet is within its limits."""
        width, height = self.sheet_size
        return width <= _SHEET_WIDTH_PX and height <= _SHEET_HEIGHT_PX


def grid_of(frames: int, width_px: int, height_px: int) -> Grid:
    """The grid that shows the frames largest, within the limits and never above their own size.

    Strips of a few pixels are widened to be visible, so some grids do not fit; a thousand frames of
    any shape always have one that does.
    """
    cap = math.sqrt(_FRAME_AREA_PX / (width_px * height_px))
    grids = [_grid(frames, columns, width_px, height_px, cap) for columns in range(1, frames + 1)]
    return max(
        grids,
        key=lambda grid: (grid.fits, grid.width, -grid.rows * grid.columns, grid.columns),
    )


def _grid(frames: int, columns: int, width_px: int, height_px: int, cap: float) -> Grid:
    rows = math.ceil(frames / columns)
    across = (_SHEET_WIDTH_PX - (columns - 1) * _GAP_PX) / columns / width_px
    down = (_SHEET_HEIGHT_PX - (rows - 1) * _GAP_PX) / rows / height_px
    scale = max(0.0, min(1.0, cap, across, down))
    width, height = (
        max(_LEAST_SIDE_PX, int(side * scale) // 2 * 2) for side in (width_px, height_px)
    )
    return Grid(columns, rows, width, height)


def make_sheet(order: SheetOrder) -> Sheet:
    """Read, verify and render one clip's media.

    Raises:
        MediaError: the files are not, or no longer, the media that were sent.
    """
    container = "mjpeg" if order.video.endswith(".mjpeg") else "mp4"
    grid, picture = _picture(_read(order.video, order.video_sha256), container)
    sound, peaks = b"", list[int]()
    if order.audio is not None:
        sound = _read(order.audio, order.audio_sha256)
        peaks = _peaks(sound, order.audio.rpartition(".")[2])
    is_playable = order.with_sound and len(sound) <= _MAX_SOUND_BYTES
    return Sheet(
        webp_base64=base64.b64encode(picture).decode(),
        columns=grid.columns,
        rows=grid.rows,
        width_px=grid.sheet_size[0],
        height_px=grid.sheet_size[1],
        ogg_base64=base64.b64encode(sound).decode() if is_playable else "",
        peaks=peaks,
    )


def _read(path: str, sha256: str | None) -> bytes:
    try:
        with os.fdopen(descriptor_of(path), "rb") as file:
            media = file.read()
    except OSError:
        media = b""
    if hashlib.sha256(media).hexdigest() != sha256:
        raise MediaError(FailureCode.SOURCE_CHANGED, "the media are no longer in the store")
    return media


def _opened(media: bytes, container: str) -> InputContainer:
    file = av.open(io.BytesIO(media), "r", format=container)
    assert isinstance(file, InputContainer)  # noqa: S101 - it was opened to be read
    return file


def _picture(media: bytes, container: str) -> tuple[Grid, bytes]:
    with _opened(media, container) as file:
        stream = file.streams.video[0]
        stream.codec_context.thread_count = 1
        count = min(stream.frames or _count(media, container), _MAX_FRAMES)
        grid = grid_of(count, stream.codec_context.width, stream.codec_context.height)
        sheet = _tiled(file.decode(stream), count, grid)
    return grid, _webp(sheet)


def _count(media: bytes, container: str) -> int:
    """The number of pictures in a file whose header does not say it."""
    with _opened(media, container) as file:
        return sum(packet.size > 0 for packet in file.demux(video=0))


def _tiled(frames: Iterator[VideoFrame], count: int, grid: Grid) -> VideoFrame:
    first = next(frames)
    graph = av.filter.Graph()
    graph.threads = 1
    source = graph.add_buffer(
        width=first.width, height=first.height, format=first.format, time_base=first.time_base
    )
    layout = f"{grid.columns}x{grid.rows}:nb_frames={count}:padding={_GAP_PX}:color=gray"
    graph.link_nodes(
        source,
        graph.add("scale", f"{grid.width}:{grid.height}:flags=area"),
        graph.add("tile", layout),
        graph.add("buffersink"),
    ).configure()
    graph.push(first)
    for _, frame in zip(range(count - 1), frames, strict=False):
        graph.push(frame)
    graph.push(None)
    sheet = graph.pull()
    assert isinstance(sheet, VideoFrame)  # noqa: S101 - the sink is a video sink
    return sheet


def _webp(picture: VideoFrame) -> bytes:
    encoder = av.CodecContext.create("libwebp", "w")
    encoder.width, encoder.height, encoder.pix_fmt = picture.width, picture.height, "yuv420p"
    encoder.time_base = Fraction(1)
    encoder.options = {"quality": _QUALITY, "compression_level": "2"}
    picture.pts, picture.time_base = 0, encoder.time_base
    return b"".join(bytes(packet) for packet in [*encoder.encode(picture), *encoder.encode(None)])


def _peaks(sound: bytes, container: str) -> list[int]:
    """The loudest sample of each of equal spans, in percent of full scale."""
    samples = array("h")
    resampler = AudioResampler(format="s16", layout="mono", rate=_PEAK_RATE_HZ)
    with _opened(sound, container) as file:
        for frame in file.decode(audio=0):
            for mono in resampler.resample(frame):
                samples.frombytes(bytes(mono.planes[0])[: 2 * mono.samples])
    spans = min(_PEAKS, len(samples))
    bounds = [len(samples) * number // spans for number in range(spans + 1)] if spans else []
    return [_peak(samples[begin:end]) for begin, end in pairwise(bounds)]


def _peak(samples: "array[int]") -> int:
    lowest, highest = min(samples), max(samples)
    return round(100 * max(highest, -lowest) / _FULL_SCALE)
