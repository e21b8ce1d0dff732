"""Checks of an odd file's tracks and clocks, by PyAV and by its bytes."""

from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition

from captionfleet.standin.films.film import read_barcode
from tests.support.odd_checks import Check, frames, packets


def starts(video_s: float, audio_s: float) -> Check:
    def check(path: Path) -> None:
        with av.open(path) as container:
            streams = (container.streams.video[0], container.streams.audio[0])
            times_s = [float(s.start_time * s.time_base) for s in streams]
        assert times_s == pytest.approx([video_s, audio_s], abs=0.03)

    return check


def audio_lasts(seconds: float) -> Check:
    def check(path: Path) -> None:
        with av.open(path) as container:
            count = sum(frame.samples for frame in container.decode(audio=0))
            rate_hz = container.streams.audio[0].codec_context.sample_rate
        assert count / rate_hz == pytest.approx(seconds, abs=0.05)

    return check


def audio(**expected: object) -> Check:
    def check(path: Path) -> None:
        with av.open(path) as container:
            context = container.streams.audio[0].codec_context
            seen = {"rate_hz": context.sample_rate, "layout": context.layout.name}
        assert seen == expected

    return check


def tracks(*types: str) -> Check:
    def check(path: Path) -> None:
        with av.open(path) as container:
            assert tuple(stream.type for stream in container.streams) == types

    return check


def hidden_start(path: Path) -> None:
    """Packets of fifteen frames are stored that are not to be shown."""
    assert len(packets(path)) == 60
    assert read_barcode(frames(path)[0].to_ndarray(format="gray")) == 15


def clock_wraps(path: Path) -> None:
    """The stored clock goes from its maximum to zero within the file; libav unwraps it."""
    starts(-1, -1)(path)
    times_s = [frame.time for frame in frames(path)]
    assert times_s[0] < 0 < times_s[-1]


def first_audio_packet_before_zero(path: Path) -> None:
    with av.open(path) as container:
        assert next(container.demux(container.streams.audio[0])).pts < 0


def guess_is_a_frame_late(path: Path) -> None:
    """The container stores no PTS, and libav's guess begins at one frame instead of zero."""
    decoded = frames(path)
    assert decoded[0].pts == 1
    assert [frame.pts for frame in decoded] == list(range(1, 61))


def guess_goes_backwards(path: Path) -> None:
    """The container stores no PTS, and libav's guess is wrong: frames in order, times not."""
    assert min(np.diff([frame.pts for frame in frames(path)])) < 0


def no_pts(path: Path) -> None:
    assert all(packet.pts is None and packet.dts is None for packet in packets(path))
    assert all(frame.time is None for frame in frames(path))


def second_track_is_default(path: Path) -> None:
    with av.open(path) as container:
        default = [stream.disposition is Disposition.default for stream in container.streams.audio]
    assert default == [False, True]
    assert peak(path, 0) < 0.01
    assert peak(path, 1) > 0.2


def peak(path: Path, track: int = 0) -> float:
    with av.open(path) as container:
        return max(float(np.abs(f.to_ndarray()).max()) for f in container.decode(audio=track))


def sounds_but_silent(path: Path) -> None:
    audio_lasts(2.0)(path)
    assert peak(path) < 1e-3


def audio_without_packets(path: Path) -> None:
    tracks("video", "audio")(path)
    with av.open(path) as container:
        assert not [p for p in container.demux(container.streams.audio[0]) if p.size]


def index_in_fragments(path: Path) -> None:
    assert path.read_bytes().count(b"moof") > 1


def second_track_is_larger(path: Path) -> None:
    with av.open(path) as container:
        assert [s.width for s in container.streams.video] == [160, 320]


def picture_attached(path: Path) -> None:
    with av.open(path) as container:
        film, cover = container.streams.video
        assert (film.width, cover.width) == (160, 320)
        assert cover.disposition is Disposition.attached_pic
    assert len(frames(path)) == 60
