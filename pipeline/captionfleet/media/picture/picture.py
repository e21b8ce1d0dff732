"""Converts a sampled frame to a small, upright, progressive 8-bit SDR picture (worker process)."""

from collections.abc import Sequence
from fractions import Fraction

import av
from av.filter import Graph
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from captionfleet.errors import FailureCode, MediaError
from captionfleet.media.facts.geometry import Crop, Turn, fitted_size_px, output_size_px
from captionfleet.media.facts.labels import ContainerLabels
from captionfleet.media.facts.stream_facts import facts_of
from captionfleet.media.opening.container import turn_of
from captionfleet.media.picture.tone import hdr_filters, is_hdr

__all__ = ["PictureMaker", "all_smaller", "smaller"]

# Matrices that swscale knows; a frame that claims another, such as YCgCo, cannot be configured, and
# counts as unlabelled.
_KNOWN_MATRICES = frozenset({1, 2, 4, 5, 6, 7, 9})
_UNSPECIFIED, _BT2020 = 2, 9
_IPT_PROFILE = 5  # the Dolby Vision profile without a base layer that ordinary players can show


class PictureMaker:
    """Converts frames of one stream to yuv420p pictures of one size.

    The first frame decides the size; where the stream changes its shape midway, later frames are
    fitted into it with black borders. Alpha is dropped, as FFmpeg's command line does: many a
    32-bit AVI has an alpha of zero throughout.

    Raises:
        MediaError: the colours are those of Dolby Vision's profile 5, which shown as they are
            stored are purple and green.
    """

    def __init__(self, stream: VideoStream, height_px: int) -> None:
        self._stream = stream
        facts = facts_of(stream)
        if facts.dolby_vision_profile == _IPT_PROFILE:
            raise MediaError(FailureCode.UNSUPPORTED_COLOURS, "Dolby Vision profile 5")
        self._crop = facts.crop
        self._labels = ContainerLabels(stream)
        self._first_aspect: Fraction | None = None
        self._height_px = height_px
        self._size_px: tuple[int, int] | None = None
        self._graph: Graph | None = None
        self._graph_is_for: tuple[object, ...] = ()
        self._turn = Turn()
        self._turn_is_for: int | None = None
        self.rotation_deg = 0

    def follow(self, stream: VideoStream) -> None:
        """Continue with the frames of another opening of the same stream."""
        self._stream = stream

    def make(self, frame: VideoFrame) -> VideoFrame:
        """Scale, turn and convert one frame; the result has no timestamp and no side data.

        Raises:
            MediaError: FFmpeg cannot convert its pixel format.
        """
        try:
            return self._make(frame)
        except MemoryError:
            raise
        except av.FFmpegError:
            detail = f"no picture can be made of {frame.format.name}"
            raise MediaError(FailureCode.UNDECODABLE, detail) from None

    def _make(self, frame: VideoFrame) -> VideoFrame:
        turn, aspect = self._turn_of(frame), self._sample_aspect()
        self._labels.complete(frame)
        _mend_labels(frame)
        shape = (
            frame.format.name, frame.width, frame.height, aspect, turn,
            frame.colorspace, frame.color_range, frame.color_trc, frame.color_primaries,
            frame.interlaced_frame,
        )  # fmt: skip
        if self._graph is None or shape != self._graph_is_for:
            self._graph = self._build(frame, turn, aspect)
            self._graph_is_for = shape
        self._graph.vpush(frame)
        picture = self._graph.vpull()
        picture.pts = None
        return picture

    def _turn_of(self, frame: VideoFrame) -> Turn:
        """The turn that makes a frame upright.

        Reads side data only once and where the rotation changes: a frame whose side data was read
        refers to itself, so that only the garbage collector frees it (12 MB for 4K).
        """
        if frame.rotation != self._turn_is_for:
            self._turn, self._turn_is_for = turn_of(frame), frame.rotation
        return self._turn

    def _sample_aspect(self) -> Fraction:
        """The container's, until the stream's own changes midway (4:3 to 16:9 in broadcasts)."""
        coded = Fraction(self._stream.codec_context.sample_aspect_ratio or 1)
        if self._first_aspect is None:
            self._first_aspect = coded
        if coded != self._first_aspect:
            return coded
        return Fraction(self._stream.sample_aspect_ratio or 1)

    def _build(self, frame: VideoFrame, turn: Turn, aspect: Fraction) -> Graph:
        shown_px = self._crop.shown_px(frame.width, frame.height)
        shape = (*shown_px, aspect, turn.turn_deg)
        if self._size_px is None:
            self.rotation_deg = turn.turn_deg
            self._size_px = output_size_px(*shape, self._height_px)
        fitted = fitted_size_px(*shape, self._size_px)
        width, height = fitted[::-1] if turn.turn_deg % 180 else fitted
        tone = hdr_filters(frame.color_trc, frame.color_primaries)
        return _chain(
            _source(frame),
            *_cropped(frame, shown_px, self._crop),
            *_one_field(frame),
            f"scale=w={width}:h={height}:flags=bicubic{'' if tone else ':out_range=tv'}",
            *tone,
            "format=pix_fmts=yuv420p",
            *turn.filters,
            *_bars(fitted, self._size_px),
            "setsar=1",
            "sidedata=mode=delete",
        )


def smaller(picture: VideoFrame, height_px: int) -> VideoFrame:
    """The prepared picture at a lower height, with an even width."""
    width = output_size_px(picture.width, picture.height, Fraction(1), 0, height_px)[0]
    # By default each picture would start a thread for each core, and keep them.
    return picture.reformat(width=width, height=height_px, interpolation="BICUBIC", threads=1)


def all_smaller(pictures: Sequence[VideoFrame], height_px: int) -> list[VideoFrame]:
    """The pictures at a lower height; a repeated one is scaled once."""
    small = {id(picture): smaller(picture, height_px) for picture in pictures}
    return [small[id(picture)] for picture in pictures]


def _mend_labels(frame: VideoFrame) -> None:
    """Remove a colour matrix that is unknown, or add one missing from what can only be BT.2020."""
    if frame.colorspace not in _KNOWN_MATRICES:
        frame.colorspace = _UNSPECIFIED
    if frame.colorspace == _UNSPECIFIED and is_hdr(frame.color_trc):
        frame.colorspace = _BT2020


def _cropped(frame: VideoFrame, shown_px: tuple[int, int], crop: Crop) -> tuple[str, ...]:
    if shown_px == (frame.width, frame.height):
        return ()
    return (f"crop=w={shown_px[0]}:h={shown_px[1]}:x={crop.left_px}:y={crop.top_px}",)


def _one_field(frame: VideoFrame) -> tuple[str, ...]:
    """The upper field alone: one moment in time, enough lines, and no longer labelled as fields.

    Temporal deinterlacing is not possible, as the frames at hand are a second apart. Edge-directed
    interpolation (estdif) looks no better once scaled and costs 25 to 120 ms a frame.
    """
    return ("field=type=top",) if frame.interlaced_frame else ()


def _bars(size_px: tuple[int, int], frame_px: tuple[int, int]) -> tuple[str, ...]:
    if size_px == frame_px:
        return ()
    return (f"pad=w={frame_px[0]}:h={frame_px[1]}:x=(ow-iw)/2:y=(oh-ih)/2",)


def _source(frame: VideoFrame) -> str:
    return (
        f"buffer=video_size={frame.width}x{frame.height}:pix_fmt={frame.format.name}"
        f":time_base=1/1:pixel_aspect=1/1:colorspace={int(frame.colorspace)}"
        f":range={int(frame.color_range)}"
    )


def _chain(*filters: str) -> Graph:
    graph = Graph()
    graph.threads = 1
    nodes = []
    for text in (*filters, "buffersink"):
        name, _, arguments = text.partition("=")
        nodes.append(graph.add(name, arguments or None))
    graph.link_nodes(*nodes)
    graph.configure()
    return graph
