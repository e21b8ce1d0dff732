"""What the stand-in sees and hears in real bytes, and what it refuses to look at."""

import math

import numpy as np
import pytest

from captionfleet.standin.captions import describe
from captionfleet.standin.senses.perception import UnreadableMediaError, hear, look
from tests.standin import media


def test_look_counts_and_measures() -> None:
    """Frames, size, rate and length are those of the film."""
    seen = look(media.film(frames=6, width=80, height=48, fps=2))
    assert (seen.frames, seen.width, seen.height, seen.fps) == (6, 80, 48, 2.0)
    assert seen.duration_s == pytest.approx(3.0)
    assert (seen.codec, seen.pix_fmt) == ("h264", "yuv420p")


def test_look_sees_colour_cuts_and_brightness() -> None:
    """Two scenes are one cut, the colour is that of most frames, and dark is dark."""
    scenes = [media.plain(64, 48, media.BLUE)] * 3 + [media.plain(64, 48, (0, 0, 0))] * 5
    seen = look(media.mp4(scenes))
    assert (seen.cuts, seen.colour) == (1, "black")
    assert seen.motion == pytest.approx(0, abs=0.001)
    assert seen.brightness < look(media.film()).brightness


def test_look_tells_motion_from_cuts() -> None:
    """A moving bar is motion without a cut."""
    pictures = []
    for step in range(6):
        picture = media.plain(64, 48, media.GREEN)
        picture[:, step * 8 : step * 8 + 8] = 255
        pictures.append(picture)
    seen = look(media.mp4(pictures))
    assert seen.cuts == 0
    assert seen.motion > 0.05


def test_hear_measures_loudness_and_silence() -> None:
    """A tone of amplitude 0.5 has -9 dBFS while it sounds; the rest is silence."""
    heard = hear(media.ogg(4.0, amplitude=0.5, silent_s=2.0))
    assert heard.duration_s == pytest.approx(4.0, abs=0.05)
    assert heard.silent_fraction == pytest.approx(0.5, abs=0.05)
    assert heard.loudness_dbfs == pytest.approx(20 * math.log10(0.5) - 3 - 3, abs=0.5)
    assert (heard.codec, heard.channels, heard.sample_rate_hz) == ("opus", 1, 16_000)


def test_digital_silence_has_a_loudness() -> None:
    """Silence is -120 dBFS, not minus infinity."""
    heard = hear(media.ogg(1.0, amplitude=0.0))
    assert heard.loudness_dbfs == -120.0
    assert heard.silent_fraction == 1.0


def test_caption_differs_with_what_was_seen_and_heard() -> None:
    """The same bytes give the same words; other pictures and other sounds give others."""
    red, sound = look(media.film()), hear(media.ogg())
    blue = look(media.mp4([media.plain(64, 48, media.BLUE)] * 4))
    quiet = hear(media.ogg(amplitude=0.01))
    captions = {describe(video, audio) for video in (red, blue) for audio in (sound, quiet, None)}
    assert len(captions) == 6
    assert describe(look(media.film()), hear(media.ogg())) in captions


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no film at all",
        b"ffconcat version 1.0\nfile /etc/hostname\n",
        b"#EXTM3U\n#EXTINF:1,\nfile:///etc/hostname\n",
        media.film()[:400],
        media.ogg(),
        media.film(container_format="matroska"),
        media.tone("mp4", "aac", 1.0),
    ],
    ids=["empty", "text", "ffconcat", "playlist", "truncated", "ogg", "matroska", "no-picture"],
)
def test_what_is_no_film_is_not_looked_at(data: bytes) -> None:
    """Bytes that are no MP4 with pictures are refused, whatever else they are."""
    with pytest.raises(UnreadableMediaError):
        look(data)


@pytest.mark.parametrize(
    "data", [b"", b"OggS", media.film(), media.ogg()[:100]], ids=["empty", "magic", "mp4", "cut"]
)
def test_what_is_no_ogg_is_not_listened_to(data: bytes) -> None:
    """Bytes that are no Ogg with sound are refused."""
    with pytest.raises(UnreadableMediaError):
        hear(data)


def test_tags_in_another_encoding_are_no_damage() -> None:
    """A file whose tags are not UTF-8 is decoded like any other."""
    latin = media.film().replace(b"VideoHandler", b"Vid\xe9oHandler")
    assert look(latin).frames == 4


def test_frames_beyond_the_bound_are_not_decoded() -> None:
    """A frame of more than 16 Mpx is refused without being decoded."""
    huge = media.mp4([np.zeros((4128, 4128, 3), np.uint8)])
    with pytest.raises(UnreadableMediaError, match=r"too large|cannot be decoded"):
        look(huge)
