"""What x264 is asked for: the settings of one frame a second, or a preset as it is."""

from dataclasses import replace
from pathlib import Path

import av
import pytest

from captionfleet.media.picture.encode import x264_options
from captionfleet.standin.films.film import write_film
from tests.support.made import make
from tests.support.odd_films import MUTE

FILM = replace(MUTE, seconds=8.0)


def test_a_preset_is_given_as_it_is() -> None:
    """The guide's settings can be had unchanged."""
    assert x264_options("fast", 23) == {"preset": "fast", "crf": "23"}


@pytest.mark.parametrize("preset", ["one_fps", "fast"])
def test_servers_read_every_frame(tmp_path: Path, preset: str) -> None:
    """OpenCV and PyAV find all frames in order, 8-bit 4:2:0, one a second."""
    made = make(write_film(tmp_path / "film.mp4", FILM), tmp_path, video_preset=preset)
    with av.open(made.video) as file:
        stream = file.streams.video[0]
        frames = list(file.decode(stream))
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
    assert [frame.time for frame in frames] == list(range(8))
    numbers = made.numbers()
    assert len(numbers) == 8
    assert numbers == sorted(n for n in numbers if n is not None)
