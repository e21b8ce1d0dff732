"""Makes a sampled frame small, upright and 8-bit (worker process)."""

from fractions import Fraction

from av.filter import Graph
from av.video.frame import VideoFrame

from pipeline.workers.geometry import Turn, output_size_px
from pipeline.workers.media import turn_of

__all__ = ["PictureMaker"]


class PictureMaker:
    """Turns frames of one stream into yuv420p pictures of one size.

    The size is that of the first frame; where a stream changes its size midway, later frames
    are fitted to it.
    """

    def __init__(self, sample_aspect: Fraction | None, height_px: int) -> None:
        self._sample_aspect = sample_aspect or Fraction(1)
        self._height_px = height_px
        self._size_px: tuple[int, int] | None = None
        self._graph: Graph | None = None
        self._graph_is_for: tuple[object, ...] = ()
        self.rotation_deg = 0

    def make(self, frame: VideoFrame) -> VideoFrame:
        """Scale, turn and convert one frame; the result has no timestamp."""
        graph = self._graph_for(frame)
        graph.vpush(frame)
        picture = graph.vpull()
        picture.pts = None
        return picture

    def _graph_for(self, frame: VideoFrame) -> Graph:
        shape = (
            frame.format.name,
            frame.width,
            frame.height,
            frame.colorspace,
            frame.color_range,
            turn_of(frame),
        )
        if self._graph is None or shape != self._graph_is_for:
            self._graph = self._build(frame, turn_of(frame))
            self._graph_is_for = shape
        return self._graph

    def _build(self, frame: VideoFrame, turn: Turn) -> Graph:
        if self._size_px is None:
            self.rotation_deg = turn.turn_deg
            self._size_px = output_size_px(
                frame.width, frame.height, self._sample_aspect, turn.turn_deg, self._height_px
            )
        width, height = self._size_px[::-1] if turn.turn_deg % 180 else self._size_px
        return _chain(
            _source(frame),
            f"scale=w={width}:h={height}:flags=bicubic:out_range=tv",
            "format=pix_fmts=yuv420p",
            *turn.filters,
            "setsar=1",
        )


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
