"""The media step and its rivals that are Python, as functions of a film and a folder."""

import json
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, Self
from unittest.mock import patch

import av
from av.video.frame import PictureType, VideoFrame

from captionfleet.media.picture.encode import x264_options
from captionfleet.media.picture.reel import Reel
from captionfleet.media.prepare import prepare_clip
from captionfleet.media.sampling.planned_decoder import PlannedDecoder
from captionfleet.messages import Clip, MediaSpec, Source
from captionfleet.workers.store import MediaStore, media_key

Told = dict[str, Any]
Take = Callable[[Any], None]
WINDOW_S, HEIGHT_PX, RATE_HZ = 60, 360, 16_000


def product(film: Path, folder: Path, sampling: str) -> Told:
    """What becomes of a clip, from the file to the store."""
    store = Path(tempfile.mkdtemp(dir=folder))  # an empty one each time
    clip, spec, drafts = clip_of(film), MediaSpec(sampling=sampling), store / "drafts"
    drafts.mkdir()
    made = prepare_clip(clip, spec, drafts / "1")
    media = MediaStore(store).keep(
        media_key(clip, spec), drafts / "1", store / "1", made.facts, spec.max_payload_bytes
    )
    return {"frames": media.facts.frames}


def clip_of(film: Path) -> Clip:
    """The first minute of a film."""
    facts = film.stat()
    source = Source(str(film), film.name, facts.st_size, facts.st_mtime_ns)
    return Clip(film.name, source, 0.0, float(WINDOW_S))


def every_frame(film: Path, folder: Path) -> Told:
    """PyAV as its documentation uses it: every frame decoded, one a second kept."""
    with Mp4(folder / "pyav.mp4") as mp4, Ogg(folder / "pyav.ogg") as ogg:
        decode_all(film, mp4.push, ogg.push)
        return {"frames": mp4.frames}


def decode_all(film: Path, show: Take, hear: Take) -> None:
    """Decode a minute; one frame a second is shown, all sound is heard."""
    with av.open(film) as source:
        video = source.streams.video[0]
        video.thread_count = 1
        pick = OnePerSecond(show, (source.start_time or 0) / av.time_base)
        for packet in source.demux(video, *source.streams.audio[:1]):
            for frame in packet.decode():
                if isinstance(frame, VideoFrame):
                    pick.push(frame)
                else:
                    hear(frame)
        pick.finish()


def without_decisions(film: Path, folder: Path) -> Told:
    """The bare library calls for what `exact` decided: `plan.json` says which frames to decode."""
    plan = Plan(**json.loads((folder / "plan.json").read_bytes()))
    decoded, afresh, shown = set(plan.decoded), set(plan.afresh), set(plan.shown)
    with (
        av.open(film) as source,
        Mp4(folder / "bare.mp4", MediaSpec().video_preset) as mp4,
        Ogg(folder / "bare.ogg") as ogg,
    ):
        video = source.streams.video[0]
        decoder = video.codec_context
        decoder.thread_count = 1

        def decode(packet: Any) -> None:
            for frame in decoder.decode(packet):
                if frame.pts in shown:
                    mp4.push(frame)

        for packet in source.demux(video, *source.streams.audio[:1]):
            if packet.stream_index != video.index:
                for frame in packet.decode():
                    ogg.push(frame)
            elif packet.pts in decoded:
                if packet.pts in afresh:
                    decode(None)
                    decoder.flush_buffers()
                decode(packet)
        decode(None)
        return {"frames": mp4.frames}


@dataclass
class Plan:
    """What `exact` did with a film, by PTS: those decoded, those begun afresh at, those shown."""

    decoded: list[int] = field(default_factory=list)
    afresh: list[int] = field(default_factory=list)
    shown: list[int] = field(default_factory=list)


def record_plan(film: Path, folder: Path) -> Told:
    """Prepare a film, and write down for `without_decisions` what was done."""
    plan, is_afresh = Plan(), False
    restart, add = PlannedDecoder.restart, Reel.add
    frames = PlannedDecoder._frames  # noqa: SLF001 - to watch it

    def note_frames(self: Any, packet: Any) -> Any:
        nonlocal is_afresh
        if packet is not None:
            plan.decoded.append(packet.pts)
            plan.afresh += [packet.pts] * is_afresh
            is_afresh = False
        return frames(self, packet)

    def note_restart(self: Any, pts: int) -> None:
        nonlocal is_afresh
        is_afresh = True
        restart(self, pts)

    def note_shown(self: Any, frame: Any, time_s: float, slots: int) -> None:
        plan.shown.append(frame.pts)
        add(self, frame, time_s, slots)

    with (
        patch.object(PlannedDecoder, "_frames", note_frames),
        patch.object(PlannedDecoder, "restart", note_restart),
        patch.object(Reel, "add", note_shown),
    ):
        told = product(film, folder, "exact")
    (folder / "plan.json").write_text(json.dumps(asdict(plan)))
    return told


class OnePerSecond:
    """Gives the last frame before every half second, as FFmpeg's fps=1 does."""

    def __init__(self, emit: Callable[[VideoFrame], None], start_s: float) -> None:
        self._emit = emit
        self._start_s = start_s
        self._last: VideoFrame | None = None
        self._slot = 0

    def push(self, frame: VideoFrame) -> None:
        """Take the next frame."""
        self._show(self._slot_at((frame.time or 0.0) - self._start_s))
        self._last = frame

    def finish(self) -> None:
        """The end, half a frame after the last."""
        if self._last is not None:
            last_s = (self._last.time or 0.0) - self._start_s
            self._show(max(self._slot_at(last_s + 0.05), 1))

    @staticmethod
    def _slot_at(time_s: float) -> int:
        return min(int(time_s + 0.5), WINDOW_S)

    def _show(self, slot: int) -> None:
        while self._slot < slot and self._last is not None:
            self._emit(self._last)
            self._slot += 1


class Mp4:
    """Scales frames and writes them as the guide does, or with another preset."""

    def __init__(self, path: Path, preset: str = "fast") -> None:
        self.frames = 0
        self._file = av.open(path, "w")
        self._stream = self._file.add_stream("libx264", rate=1, options=x264_options(preset, 23))
        self._stream.thread_count = 1
        self._stream.pix_fmt = "yuv420p"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.mux(self._stream.encode(None))
        self._file.close()

    def push(self, frame: VideoFrame) -> None:
        """Write a frame."""
        width_px = round(frame.width * HEIGHT_PX / frame.height / 2) * 2
        if not self.frames:
            self._stream.width, self._stream.height = width_px, HEIGHT_PX
        small = frame.reformat(width_px, HEIGHT_PX, "yuv420p", interpolation="BICUBIC")
        small.pts, small.time_base = self.frames, Fraction(1)
        small.pict_type = PictureType.NONE
        self._file.mux(self._stream.encode(small))
        self.frames += 1


class Ogg:
    """Resamples sound, if there is any, and writes it with the settings of the media rules."""

    def __init__(self, path: Path) -> None:
        self._has_sound = False
        self._file = av.open(path, "w")
        self._stream = self._file.add_stream("libopus", rate=RATE_HZ, options={"b": "24000"})
        self._stream.layout = "mono"
        self._resampler = av.AudioResampler("s16", "mono", RATE_HZ)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._has_sound:
            self.push(None)
            self._file.mux(self._stream.encode(None))
        self._file.close()

    def push(self, frame: Any) -> None:
        """Write a frame of sound."""
        self._has_sound = True
        for piece in self._resampler.resample(frame):
            self._file.mux(self._stream.encode(piece))


STEPS: dict[str, Callable[[Path, Path], Told]] = {
    "exact": partial(product, sampling="exact"),
    "fast": partial(product, sampling="fast"),
    "pyav": every_frame,
    "plan": record_plan,
    "bare": without_decisions,
}
