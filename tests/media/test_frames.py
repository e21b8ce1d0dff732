"""Frames as JPEGs: which, how large, in which colours, and found again."""

import io
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import orjson
import pytest
from av.video.reformatter import ColorRange, Colorspace
from hypothesis import given
from hypothesis import strategies as st

from captionfleet.errors import FailureCode, MediaError
from captionfleet.media.ladder import JpegRung, next_jpeg_rung, qscale_of
from captionfleet.media.orders import hold_of
from captionfleet.media.picture.jpeg import evenly_chosen, write_jpegs
from captionfleet.media.prepare import prepare_clip
from captionfleet.messages import Form, MediaSpec, base64_bytes
from captionfleet.standin.films.film import Film, Look, Sound, write_film
from captionfleet.workers.store import MediaStore, StoredMedia, media_key
from captionfleet.workers.taking import NotAsReportedError
from tests.support.preparing import clip_of

SMALL = Form("frames", "input_audio", "wav", frame_height_px=48, jpeg_quality=60, max_frames=3)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five seconds of noise with sound."""
    look = Look(first_scene=1, grain=24)
    sounds = (Sound(layout="mono"),)
    path = tmp_path_factory.mktemp("frames") / "film.mp4"
    return write_film(path, Film(seconds=5, width_px=128, height_px=96, look=look, sounds=sounds))


def made(film: Path, folder: Path, *forms: Form, **spec: int) -> list[StoredMedia]:
    """The film's media in these forms, made at once and put into a store."""
    specs = [MediaSpec(height_px=96, form=form, **spec) for form in forms]
    own = folder / "drafts" / "1"
    own.parent.mkdir(exist_ok=True)
    first = prepare_clip(clip_of(film), specs[0], own, [one.form for one in specs[1:]])
    return [
        MediaStore(folder).keep(
            media_key(clip_of(film), one),
            Path(hold_of(str(own), place)),
            folder / f"hold{place}",
            prepared.facts,
            one.max_payload_bytes,
            one.form,
        )
        for place, (one, prepared) in enumerate(zip(specs, [first, *first.others], strict=True))
    ]


def found(film: Path, folder: Path, form: Form) -> StoredMedia | None:
    """The media as a later run finds them."""
    key = media_key(clip_of(film), MediaSpec(height_px=96, form=form))
    return MediaStore(folder).find(key, folder / "later", form)


@given(st.integers(1, 700), st.integers(1, 700))
def test_frames_are_thinned_evenly(count: int, most: int) -> None:
    """At most the number asked for, in order; gaps differ by one at most, and both ends stay."""
    chosen = evenly_chosen(count, most)
    assert len(chosen) == min(count, most)
    assert chosen == sorted(set(chosen) & set(range(count)))
    if most > 1:
        gaps = np.diff(chosen)
        assert (chosen[0], chosen[-1]) == (0, count - 1)
        assert not len(gaps) or gaps.max() - gaps.min() <= 1


def test_one_pass_makes_every_form(film: Path, tmp_path: Path) -> None:
    """Frames are those of the MP4 with their true times, less the one that makes pairs."""
    video, whole, small = made(film, tmp_path, Form(), Form("frames", "none"), SMALL)
    assert (video.facts.frames, video.facts.padded_frames) == (6, 1)
    assert (whole.facts.frames, whole.facts.padded_frames) == (5, 0)
    assert whole.facts.frame_times_s == video.facts.frame_times_s[:5]
    assert small.facts.frame_times_s == video.facts.frame_times_s[:5:2]
    assert (small.facts.width, small.facts.height, small.facts.jpeg_quality) == (64, 48, 60)
    assert (whole.audio, whole.facts.has_audio, whole.facts.audio_s) == (None, False, 0.0)
    assert small.audio is not None
    assert small.audio.stat().st_size == pytest.approx(5 * 32_000, rel=0.01)
    sizes = [*small.facts.frame_bytes, small.facts.audio_bytes]
    assert small.facts.payload_bytes == base64_bytes(*sizes)
    for one, form in ((video, Form()), (whole, Form("frames", "none")), (small, SMALL)):
        again = found(film, tmp_path, form)
        assert again is not None
        assert again.facts == one.facts


@pytest.mark.parametrize("audio_format", ["ogg", "wav", "mp3"])
def test_sound_in_each_format(film: Path, tmp_path: Path, audio_format: str) -> None:
    """Each is five seconds of mono."""
    form = Form("frames", "input_audio", audio_format)  # type: ignore[arg-type]
    (media,) = made(film, tmp_path, form)
    with av.open(str(media.audio), format=audio_format) as file:
        frames = list(file.decode(audio=0))
    assert {frame.layout.nb_channels for frame in frames} == {1}
    seconds = sum(frame.samples / frame.sample_rate for frame in frames)
    assert seconds == pytest.approx(5.0, abs=0.15)


def test_what_is_too_large_goes_down_the_ladder(film: Path, tmp_path: Path) -> None:
    """Quality goes first, then height; what fits nowhere is a failure with its code."""
    form = Form("frames", "none", jpeg_quality=95)
    (whole,) = made(film, tmp_path, form)
    assert whole.facts.jpeg_quality == 95
    (less,) = made(film, tmp_path, form, max_payload_bytes=whole.facts.payload_bytes // 2)
    assert less.facts.payload_bytes < whole.facts.payload_bytes // 2
    assert less.facts.jpeg_quality < 95
    assert less.facts.frames == whole.facts.frames
    with pytest.raises(MediaError) as caught:
        made(film, tmp_path, form, max_payload_bytes=2000)
    assert caught.value.code is FailureCode.PAYLOAD_TOO_LARGE


def test_sizes_that_are_no_sizes_are_no_media(film: Path, tmp_path: Path) -> None:
    """What a worker says of its JPEGs has to add up to the file that it left."""
    own, spec = tmp_path / "1", MediaSpec(form=Form("frames", "none"))
    for lie in ((), (10, 10), (-5, 10**6)):
        facts = replace(prepare_clip(clip_of(film), spec, own).facts, frame_bytes=lie)
        with pytest.raises(NotAsReportedError):
            MediaStore(tmp_path).keep("ab" * 20, own, tmp_path / "2", facts, 10**7, spec.form)


@given(st.integers(30, 95), st.integers(16, 1080), st.integers(1, 10**8), st.integers(0, 10**7))
def test_ladder_always_ends(quality: int, height_px: int, size: int, budget: int) -> None:
    """Each step gives something up, so that a clip that never fits is found to be one."""
    now = first = JpegRung(quality, height_px)
    for _ in range(12):
        lower = next_jpeg_rung(first, now, size, budget)
        if lower is None:
            return
        assert (lower.quality, lower.height_px) < (now.quality, now.height_px) or (
            lower.quality <= now.quality and lower.height_px < now.height_px
        )
        now = lower
    raise AssertionError("no end")


def test_quality_is_monotonic() -> None:
    """A higher quality never has the coarser quantiser."""
    scales = [qscale_of(quality) for quality in range(30, 96)]
    assert scales == sorted(scales, reverse=True)
    assert (scales[0], scales[-1]) == (29, 2)


@pytest.mark.parametrize("matrix", [Colorspace.ITU601, Colorspace.ITU709])
def test_colours_are_those_of_jfif(tmp_path: Path, matrix: Colorspace) -> None:
    """Whatever the video's matrix and range, a JPEG shows the colours that it had."""
    rows, columns = np.mgrid[0:96, 0:128]
    rgb = np.stack([columns * 2, rows * 2, 128 + 0 * rows], -1).astype(np.uint8)
    picture = av.VideoFrame.from_ndarray(rgb, "rgb24").reformat(
        format="yuv420p", dst_colorspace=matrix, dst_color_range=ColorRange.MPEG
    )
    path = tmp_path / "pack.mjpeg"
    sizes = write_jpegs(path, [picture, picture], 95)
    pack = path.read_bytes()
    assert sizes == (len(pack) // 2,) * 2
    assert pack[:4] == b"\xff\xd8\xff\xe0"  # with a JFIF header
    with av.open(io.BytesIO(pack[: sizes[0]]), format="mjpeg") as file:
        shown = next(file.decode(video=0)).to_ndarray(format="rgb24").astype(int)
    assert np.abs(shown - rgb).mean() < 3


def test_entries_of_earlier_versions_are_found(film: Path, tmp_path: Path) -> None:
    """The usual form has the key that it always had, and facts that lack the later ones do."""
    (media,) = made(film, tmp_path, Form())
    (path,) = tmp_path.glob("??/*.json")
    facts = orjson.loads(path.read_bytes())
    for name in ("video_as", "audio_as", "audio_format", "jpeg_quality", "frame_bytes"):
        del facts[name]
    path.write_bytes(orjson.dumps(facts))
    again = found(film, tmp_path, Form())
    assert again is not None
    assert again.facts == media.facts
    clip = clip_of(film)
    assert media_key(clip, MediaSpec()) != media_key(clip, MediaSpec(form=Form("frames")))
