"""Mixes decoded sound to 16 kHz mono PCM (worker process)."""

from collections.abc import Iterator

import av
from av.audio.fifo import AudioFifo
from av.audio.frame import AudioFrame
from av.filter import Graph

from captionfleet.media.sound.writer import SAMPLE_BYTES, SAMPLE_RATE_HZ

__all__ = ["MonoResampler", "without_first"]

# Frames are joined to pieces this long: a call costs as much as resampling two frames of AAC.
_PIECE_S = 0.25
_FORMAT = f"sample_fmts=s16:sample_rates={SAMPLE_RATE_HZ}"


class MonoResampler:
    """Mixes all channels down without clipping, and resamples.

    Layouts that FFmpeg's mixer does not know (numbered channels) are mixed evenly; of ambisonics,
    the omnidirectional channel is taken.
    """

    def __init__(self) -> None:
        self._mixer: Graph | None = None
        self._is_even = False
        self._waiting = AudioFifo()

    def push(self, frame: AudioFrame | None) -> Iterator[bytes]:
        """Take a frame without timestamp, or None at the end; yield 16-bit samples.

        All frames have one format, layout and rate.

        Raises:
            av.FFmpegError: the sound cannot be resampled.
        """
        for joined in self._joined(frame):
            for piece in self._resample(joined):
                yield bytes(piece.planes[0])[: piece.samples * SAMPLE_BYTES]

    def _joined(self, frame: AudioFrame | None) -> Iterator[AudioFrame | None]:
        if frame is not None:
            self._waiting.write(frame)
            is_ready = self._waiting.samples >= _PIECE_S * frame.sample_rate
        else:
            is_ready = self._waiting.samples > 0
        if is_ready:
            yield self._waiting.read()
        if frame is None:
            yield None

    def _resample(self, frame: AudioFrame | None) -> list[AudioFrame]:
        if frame is None:
            return [] if self._mixer is None else _through(self._mixer, None)
        try:
            self._mixer = self._mixer or _mixer(frame)
            return _through(self._mixer, frame)
        except av.FFmpegError:
            if self._is_even:
                raise
        self._mixer, self._is_even = _even_mixer(frame), True
        return _through(self._mixer, frame)


def without_first(frame: AudioFrame, count: int) -> AudioFrame:
    """The frame without its first samples and its time."""
    channels = 1 if frame.format.is_planar else frame.layout.nb_channels
    step = frame.format.bytes * channels
    rest = AudioFrame(frame.format.name, frame.layout.name, frame.samples - count)
    for plane, whole in zip(rest.planes, frame.planes, strict=True):
        data = bytes(whole)[count * step : frame.samples * step]
        plane.update(data + bytes(plane.buffer_size - len(data)))
    rest.sample_rate = frame.sample_rate
    return rest


def _mixer(frame: AudioFrame) -> Graph:
    return _graph(frame, ("aformat", f"{_FORMAT}:channel_layouts=mono"))


def _even_mixer(frame: AudioFrame) -> Graph:
    count = frame.layout.nb_channels
    is_ambisonic = frame.layout.name.startswith("ambisonic")
    mix = "c0" if is_ambisonic else "+".join(f"{1 / count}*c{n}" for n in range(count))
    return _graph(frame, ("pan", f"mono|c0={mix}"), ("aformat", _FORMAT))


def _graph(frame: AudioFrame, *filters: tuple[str, str]) -> Graph:
    """Filters for frames like this one, in one thread: by default there is one for each core."""
    graph = Graph()
    graph.threads = 1
    graph.link_nodes(
        graph.add(
            "abuffer",
            f"sample_rate={frame.sample_rate}:sample_fmt={frame.format.name}"
            f":channel_layout={frame.layout.name}:time_base=1/{frame.sample_rate}",
        ),
        *(graph.add(name, arguments) for name, arguments in filters),
        graph.add("abuffersink"),
    ).configure()
    return graph


def _through(graph: Graph, frame: AudioFrame | None) -> list[AudioFrame]:
    graph.push(frame)
    pieces: list[AudioFrame] = []
    while True:
        try:
            piece = graph.pull()
        except (av.BlockingIOError, EOFError):
            return pieces
        if isinstance(piece, AudioFrame):
            pieces.append(piece)
