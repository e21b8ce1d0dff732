"""Pictures of any kind become upright, square, progressive 8-bit ones that show the same."""

import gc
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.filter import Graph
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from captionfleet.media.picture.picture import PictureMaker, all_smaller
from captionfleet.standin.films.film import Film, Look, write_film
from captionfleet.standin.films.pictures import draw, pack
from tests.support import oracle
from tests.support.made import make, number
from tests.support.odd_checks import zigzags
from tests.support.odd_files import resolution_change
from tests.support.odd_films import FULL, MUTE

SHORT = replace(MUTE, seconds=1.0, fps=Fraction(4))
# Sunset has colours; its gray is what must come out of every pixel format that can show it.
SUNSET = replace(SHORT, look=Look(first_scene=3))
PIXELS = [
    (".mkv", "ffv1", "yuv410p"),
    (".mkv", "ffv1", "yuv411p"),
    (".mkv", "ffv1", "yuv440p"),
    (".mkv", "ffv1", "yuv444p16le"),
    (".mkv", "ffv1", "yuva420p"),
    (".mkv", "ffv1", "bgra"),
    (".mov", "libx264", "gray"),
    (".mov", "libx264", "yuvj444p"),
    (".mov", "libx264", "yuv444p10le"),
    (".mp4", "libx264rgb", "bgr24"),
    (".avi", "magicyuv", "gbrp"),
    (".mov", "qtrle", "argb"),
    (".mov", "prores_ks", "yuva444p10le"),
    (".avi", "huffyuv", "rgb24"),
    (".mov", "png", "ya8"),
    (".mov", "png", "rgb48be"),
    (".mov", "r210", "gbrp10le"),
    (".avi", "msvideo1", "rgb555le"),
]


@pytest.mark.parametrize(("ending", "codec", "pix_fmt"), PIXELS)
def test_every_pixel_format_looks_the_same(
    tmp_path: Path, ending: str, codec: str, pix_fmt: str
) -> None:
    """Planes, packed, RGB, gray, with alpha, deep or full range: the picture is as bright."""
    film = replace(SUNSET, codec=codec, pix_fmt=pix_fmt)
    made = make(write_film(tmp_path / f"film{ending}", film), tmp_path)
    plain = make(write_film(tmp_path / "plain.mp4", SUNSET), tmp_path)
    assert made.numbers() == plain.numbers()
    for seen, expected in zip(made.grays(), plain.grays(), strict=True):
        assert seen.mean() == pytest.approx(expected.mean(), abs=3)


def test_full_range_is_brought_down(tmp_path: Path) -> None:
    """White of a full-range film is limited-range white, not clipped at it."""
    path = tmp_path / "film.mkv"
    picture = np.full((144, 160), 128, np.uint8)
    picture[:96] = np.linspace(0, 255, 160).astype(np.uint8)
    with av.open(path, "w") as container:
        stream = container.add_stream("ffv1", rate=1)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        stream.codec_context.color_range = FULL
        for n in range(2):
            frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
            frame.pts, frame.color_range = n, FULL
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    row = make(path, tmp_path).luma()[0][180].astype(int)
    assert (row.min(), row.max()) == pytest.approx((16, 235), abs=2)
    assert (np.diff(row) >= -2).all()


def test_what_alpha_hides_is_shown(tmp_path: Path) -> None:
    """A 32-bit film whose alpha is all zero, as many AVIs are, is no black film."""
    path = tmp_path / "film.mkv"
    gray = pack(draw(Look(), 5, 0.0, 160, 96))
    opaque = av.VideoFrame.from_ndarray(gray, format="yuv420p").to_ndarray(format="bgra")
    opaque[..., 3] = 0
    with av.open(path, "w") as container:
        stream = container.add_stream("ffv1", rate=1)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = 160, 96, "bgra"
        frame = av.VideoFrame.from_ndarray(opaque, format="bgra")
        frame.pts = 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert make(path, tmp_path).numbers() == [5, 5]


@pytest.fixture(scope="module")
def plain_stream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VideoStream]:
    """A stream whose pictures have square pixels."""
    path = write_film(tmp_path_factory.mktemp("plain") / "film.mp4", SHORT)
    with av.open(path) as container:
        yield container.streams.video[0]


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "rgb24", "gbrp", "gray"])
@pytest.mark.parametrize("matrix", range(18))
def test_any_colour_label_can_be_lived_with(
    plain_stream: VideoStream, matrix: int, pix_fmt: str
) -> None:
    """A matrix that FFmpeg cannot convert, or that makes no sense, is taken for no label."""
    frame = av.VideoFrame.from_ndarray(pack(draw(Look(), 7, 0.0, 160, 96)), format="yuv420p")
    frame = frame.reformat(format=pix_fmt)
    frame.colorspace = matrix
    picture = PictureMaker(plain_stream, 360).make(frame)
    assert (picture.format.name, picture.width, picture.height) == ("yuv420p", 600, 360)
    assert picture.colorspace in {1, 2, 4, 5, 6, 7, 9}
    assert number(picture.to_ndarray()[:360]) == 7


def test_interlaced_films_lose_their_combs(tmp_path: Path) -> None:
    """Where something moves, lines zigzag in the source and not in what is sent."""
    film = Film(seconds=1.0, fps=Fraction(25), interlaced=True, look=Look(first_scene=2))
    path = write_film(tmp_path / "film.mp4", film)
    source = oracle.gray_fps1(path, film.width_px, film.height_px)[0]
    sent = make(path, tmp_path).luma()[0]
    below_the_barcode = slice(film.height_px // 4, None)
    assert zigzags(source[below_the_barcode].astype(int))
    assert not zigzags(sent[below_the_barcode].astype(int))
    assert number(sent) == number(source)


def as_interlaced(frame: av.VideoFrame) -> av.VideoFrame:
    """The frame, labelled interlaced."""
    graph = Graph()
    nodes = (
        graph.add_buffer(template=None, width=frame.width, height=frame.height,
                         format=frame.format, time_base=Fraction(1)),
        graph.add("setparams", "field_mode=tff"),
        graph.add("buffersink"),
    )  # fmt: skip
    graph.link_nodes(*nodes).configure()
    graph.vpush(frame)
    return graph.vpull()


@pytest.mark.parametrize("height_px", [1, 2, 96])
def test_nothing_is_said_of_fields_or_of_the_source(
    plain_stream: VideoStream, height_px: int
) -> None:
    """A picture is progressive and carries no side data, even of a source too low to halve."""
    frame = av.VideoFrame.from_ndarray(pack(draw(Look(), 7, 0.0, 160, 96)), format="yuv420p")
    frame = as_interlaced(frame.reformat(height=height_px))
    assert frame.interlaced_frame
    picture = PictureMaker(plain_stream, 360).make(frame)
    assert not picture.interlaced_frame
    assert list(picture.side_data) == []


def test_source_frames_are_let_go_of(plain_stream: VideoStream) -> None:
    """A picture keeps nothing of its frame, which at 4K is 12 MB, without waiting for the gc."""
    maker = PictureMaker(plain_stream, 360)
    gc.collect()
    gc.disable()
    try:
        pictures = [maker.make(av.VideoFrame(176, 96, "yuv420p")) for _ in range(10)]
        held = [f for f in gc.get_objects() if isinstance(f, av.VideoFrame) and f.width == 176]
    finally:
        gc.enable()
    assert len(pictures) == 10
    assert len(held) <= 1


@pytest.mark.parametrize("rotation_deg", [0, 90, 180, 270])
@pytest.mark.parametrize("mirrored", [False, True])
def test_pictures_are_set_upright(tmp_path: Path, rotation_deg: int, *, mirrored: bool) -> None:
    """However a film is stored turned or mirrored, its barcode reads from left to right."""
    film = replace(SHORT, rotation_deg=rotation_deg, mirrored=mirrored)
    path = write_film(tmp_path / "film.mp4", film)
    assert make(path, tmp_path).numbers() == [1, 1]
    with av.open(path) as container:
        stream = container.streams.video[0]
        frame = next(container.decode(stream))
        assert list(PictureMaker(stream, 360).make(frame).side_data) == []


def middle(luma: NDArray[np.uint8], width_px: int, height_px: int) -> NDArray[np.uint8]:
    """The middle of a picture; all around it must be black."""
    top, left = (luma.shape[0] - height_px) // 2, (luma.shape[1] - width_px) // 2
    inside = np.zeros(luma.shape, bool)
    inside[top : top + height_px, left : left + width_px] = True
    near = np.zeros(luma.shape, bool)
    near[max(0, top - 4) : top + height_px + 4, max(0, left - 4) : left + width_px + 4] = True
    assert luma[~near].max() < 24
    return luma[inside].reshape(height_px, width_px)


def test_a_new_resolution_is_fitted_in(tmp_path: Path) -> None:
    """A film that turns from landscape to portrait keeps its size, with black beside the rest."""
    made = make(resolution_change(tmp_path), tmp_path)
    assert (made.facts.width, made.facts.height) == (600, 360)
    lumas = made.luma()
    assert [number(luma) for luma in lumas[:2]] == [14, 44]
    assert [number(middle(luma, 216, 360)) for luma in lumas[2:]] == [14, 44]


@pytest.mark.parametrize("coded", [None, Fraction(1)])
def test_the_container_knows_the_shape_best(tmp_path: Path, coded: Fraction | None) -> None:
    """Where the container corrects the pixels' shape, as ffmpeg's -aspect does, that is taken."""
    film = write_film(tmp_path / "film.mp4", replace(SHORT, height_px=120, sample_aspect=coded))
    oracle.ffmpeg("-i", film, "-c", "copy", "-aspect", "16:9", tmp_path / "wide.mp4")
    facts = make(tmp_path / "wide.mp4", tmp_path).facts
    assert (facts.width, facts.height) == (640, 360)


def test_a_new_pixel_shape_is_fitted_in(tmp_path: Path) -> None:
    """A broadcast that changes from 4:3 to 16:9 without changing its size is not squeezed."""
    pal = replace(
        MUTE, width_px=720, height_px=576, codec="mpeg2video", seconds=2.0, fps=Fraction(25)
    )
    shapes = (Fraction(16, 15), Fraction(64, 45))
    films = [replace(pal, sample_aspect=s, start_s=2.0 * n) for n, s in enumerate(shapes)]
    parts = [write_film(tmp_path / f"{n}.ts", film).read_bytes() for n, film in enumerate(films)]
    path = tmp_path / "joined.ts"
    path.write_bytes(b"".join(parts))
    lumas = make(path, tmp_path).luma()
    assert lumas[0].shape == (360, 480)
    assert [number(luma) for luma in lumas[:2]] == [12, 37]
    assert [number(middle(luma, 480, 270)) for luma in lumas[2:]] == [13, 38]


def test_pictures_made_smaller_start_no_thread() -> None:
    """A picture would keep one for each core, and a clip has hundreds of pictures."""
    pictures = [VideoFrame(640, 360, "yuv420p") for _ in range(40)]
    threads = len(list(Path("/proc/self/task").iterdir()))
    small = all_smaller(pictures, 288)
    assert {(one.width, one.height) for one in small} == {(512, 288)}
    assert len(list(Path("/proc/self/task").iterdir())) <= threads
