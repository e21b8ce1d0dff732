"""A film longer than a clip, captioned as a whole."""

from fractions import Fraction
from pathlib import Path

import av
import pytest

from captionfleet.standin.films.film import Film, Sound, read_barcode, write_film
from captionfleet.standin.options import StandinOptions
from captionfleet.standin.server import serving
from tests.support.command import CommandHere
from tests.support.nights import Nights

FPS, WINDOW_S, FILM_S = 2, 10, 35
FIRST = {"media": {"max_seconds": WINDOW_S}}
ALL = FIRST | {"input": {"segments": "all"}}


@pytest.fixture
def nights(tmp_path: Path) -> Nights:
    return Nights(tmp_path, tmp_path / "media")


@pytest.fixture(autouse=True)
def film(tmp_path: Path) -> Path:
    """Each picture shows its number; it ticks each second."""
    folder = tmp_path / "videos"
    folder.mkdir()
    made = Film(
        seconds=FILM_S, width_px=320, height_px=180, fps=Fraction(FPS), gop_s=4, b_frames=2,
        sounds=(Sound("ticks", 16_000, "mono"),),
    )  # fmt: skip
    return write_film(folder / "film.mp4", made)


def counters(path: Path) -> list[int]:
    """The numbers in the pictures of a clip."""
    with av.open(str(path)) as container:
        return [
            read_barcode(frame.to_ndarray(format="gray")) for frame in container.decode(video=0)
        ]


@pytest.mark.anyio
async def test_every_window_is_a_clip_of_its_own(nights: Nights) -> None:
    """After a night of first windows, the next captions the rest, and the third has no work.

    Each window shows its own seconds, read from the very bytes that were sent.
    """
    async with serving(StandinOptions()) as standin:
        first = await nights.run(standin, **FIRST)
        assert (first.captioned, first.cut_to_window["films"]) == (1, 1)
        rest = await nights.run(standin, **ALL)
        assert (rest.captioned, rest.already_captioned) == (3, 1)
        assert rest.cut_to_window["films"] == 0
        again = await nights.run(standin, **ALL)
        assert (again.planned, again.already_captioned) == (0, 4)
    for line in nights.output.captions:
        start_s, key = line["start_s"], line["media_key"]
        assert line["end_s"] == start_s + WINDOW_S
        seconds = min(WINDOW_S, FILM_S - int(start_s))
        shown = counters(nights.store / key[:2] / f"{key}.mp4")[:seconds]
        assert shown == [FPS * (int(start_s) + second) for second in range(seconds)]
        assert line["media"]["audio_s"] == pytest.approx(seconds, abs=0.1)
        assert line["media"]["damage"]["coverage"] == 1.0
    assert sorted(line["start_s"] for line in nights.output.captions) == [0.0, 10.0, 20.0, 30.0]


@pytest.mark.anyio
async def test_a_limit_counts_windows(nights: Nights) -> None:
    """--limit stops within a film, and the next run goes on there."""
    async with serving(StandinOptions()) as standin:
        some = FIRST | {"input": {"segments": "all", "limit": 2}}
        assert (await nights.run(standin, **some)).captioned == 2
        assert (await nights.run(standin, **ALL)).captioned == 2


def test_prepare_calls_windows_by_where_they_begin(tmp_path: Path, here: CommandHere) -> None:
    """The first keeps the film's own name."""
    (tmp_path / "job.toml").write_text("[media]\nmax_seconds = 20\n")
    ended = here("prepare", "videos", "--out", "made", "--job", "job.toml", "--segments", "all")
    assert ended.exit_code == 0, ended.complaint
    names = sorted(path.name for path in (tmp_path / "made").glob("*.mp4"))
    assert names == ["film.mp4.mp4", "film.mp4@00020.00.mp4"]
