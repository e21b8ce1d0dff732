"""A film longer than a clip, captioned as a whole."""

import shutil
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import pytest

from captionfleet.check.rehearsal import rehearse
from captionfleet.check.sources import survey
from captionfleet.producer.admission import examine
from captionfleet.standin.faults import parse_fault
from captionfleet.standin.films.film import Film, Look, Sound, read_barcode, write_film
from captionfleet.standin.options import StandinOptions
from captionfleet.standin.server import serving
from tests.support.command import CommandHere
from tests.support.nights import Nights

BLIND = StandinOptions(watch_media=False)
FPS, WINDOW_S, FILM_S = 2, 10, 35
FIRST = {"media": {"max_seconds": WINDOW_S}}
ALL = FIRST | {"input": {"segments": "all"}}


@pytest.fixture
def nights(tmp_path: Path) -> Nights:
    return Nights(tmp_path, tmp_path / "media")


@pytest.fixture(scope="module")
def made_film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Each picture shows its number; it ticks each second."""
    made = Film(
        seconds=FILM_S, width_px=320, height_px=180, fps=Fraction(FPS), gop_s=4, b_frames=2,
        sounds=(Sound("ticks", 16_000, "mono"),),
    )  # fmt: skip
    return write_film(tmp_path_factory.mktemp("made") / "film.mp4", made)


@pytest.fixture(autouse=True)
def film(made_film: Path, tmp_path: Path) -> Path:
    """A library of that one film."""
    folder = tmp_path / "videos"
    folder.mkdir()
    return Path(shutil.copy2(made_film, folder))


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Two recordings in one file without an ending; the second begins 4 s after the first."""
    path = tmp_path / "recording"
    with path.open("wb") as joined:
        for number in range(2):
            made = Film(
                seconds=6, width_px=160, height_px=96, fps=Fraction(4), gop_s=1,
                start_s=4.0 * number, look=Look(first_scene=3 * number),
            )  # fmt: skip
            joined.write(write_film(tmp_path / "part.ts", made).read_bytes())
    return path


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
    async with serving(BLIND) as standin:
        first = await nights.run(standin, **FIRST)
        assert (first.captioned, first.cut_to_window["films"]) == (1, 1)
        foreseen = await rehearse(nights.job(standin, **ALL))
        rest = await nights.run(standin, **ALL)
        assert (rest.captioned, rest.already_captioned) == (3, 1)
        assert rest.cut_to_window["films"] == 0
        again = await nights.run(standin, **ALL)
        assert (again.planned, again.already_captioned) == (0, 4)
        left = await survey(
            nights.job(standin, **ALL), await examine(nights.job(standin, **ALL)), most=5
        )
    words = foreseen.text()
    assert "would caption 3 clips" in words
    assert f"{FILM_S - WINDOW_S} s of video" in words
    assert (left.settled, left.to_do) == (1, 0)
    assert len((nights.output.folder / "films.jsonl").read_bytes().splitlines()) == 1
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
async def test_a_window_in_the_middle_fails_alone(tmp_path: Path) -> None:
    """The others have their captions, and the next run asks for that window and no other."""
    nights = Nights(tmp_path, tmp_path / "media", max_in_flight=1)
    one_by_one = ALL | {"workers": {"processes": 1}}
    async with serving(replace(BLIND, faults=(parse_fault("400+after=1+first=1"),))) as standin:
        first = await nights.run(standin, **one_by_one)
        assert (first.captioned, first.failed, first.exit_code) == (3, 1, 1)
        (failure,) = nights.output.failures
        assert (failure["code"], failure["start_s"]) == ("rejected", WINDOW_S)
        asked = ALL["input"] | {"retry_failed": ["rejected"]}
        again = await nights.run(standin, **one_by_one | {"input": asked})
        assert (again.planned, again.captioned, again.already_captioned) == (1, 1, 3)
        assert standin.ledger.total == 5
    assert sorted(line["start_s"] for line in nights.output.captions) == [0.0, 10.0, 20.0, 30.0]
    assert not nights.output.failures


@pytest.mark.anyio
async def test_scenes_are_clips(nights: Nights) -> None:
    """Each clip shows its own scenes; later nights find the same ones, remembered or not.

    Scenes are three seconds long: the first ones that are together at least four are two.
    """
    by_scenes = FIRST | {"input": {"segments": "scenes", "min_s": 4}, "workers": {"processes": 1}}
    async with serving(BLIND) as standin:
        foreseen = await rehearse(nights.job(standin, **by_scenes))
        first = await nights.run(standin, **by_scenes)
        assert (first.captioned, first.failed) == (6, 0)
        again = await nights.run(standin, **by_scenes)
        noted = nights.output.folder / "films.jsonl"
        assert (again.planned, len(noted.read_bytes().splitlines())) == (0, 1)
        known = await rehearse(nights.job(standin, **by_scenes))
        noted.unlink()
        assert (await nights.run(standin, **by_scenes)).planned == 0
    assert "would caption 4 clips" in foreseen.text()
    assert "there will be more and shorter clips" in foreseen.text()
    assert "would caption 0 clips" in known.text()
    assert "shorter clips" not in known.text()
    lines = sorted(nights.output.captions, key=lambda line: line["start_s"])
    edges = [line["start_s"] for line in lines] + [lines[-1]["end_s"]]
    assert [line["end_s"] for line in lines] == edges[1:]
    assert edges == pytest.approx([0, 6, 12, 18, 24, 30, 35], abs=1 / FPS)
    for line in lines:
        shown = counters(nights.store / line["media_key"][:2] / f"{line['media_key']}.mp4")
        pair = {number // (3 * FPS) // 2 for number in shown}
        assert len(pair) == 1


ROWS = """path,id,start_s,end_s
film.mp4,middle,13,17
film.mp4,to the end,30,
film.mp4,head,,2.5
film.mp4,twice,13.0,17.0
film.mp4,too long,5,16
film.mp4,backwards,9,8
film.mp4,behind,50,55
"""


@pytest.mark.anyio
async def test_rows_name_windows(nights: Nights, film: Path) -> None:
    """Each window that a list names has one line; one that cannot be is a failure of its row."""
    listing = film.with_name("windows.csv")
    listing.write_text(ROWS)
    rows = FIRST | {"input": {"sources": [listing]}}
    async with serving(BLIND) as standin:
        some = FIRST | {"input": {"sources": [listing], "limit": 2}}
        assert (await nights.run(standin, **some)).captioned == 2
        assert (await nights.run(standin, **rows)).captioned == 1
        again = await nights.run(standin, **rows)
    assert (again.captioned, again.already_captioned, again.standing_failures) == (0, 3, 1)
    lines = {line["id"]: line for line in nights.output.captions}
    assert {name: (line["start_s"], line["end_s"]) for name, line in lines.items()} == {
        "middle": (13.0, 17.0), "to the end": (30.0, 40.0), "head": (0.0, 2.5),
    }  # fmt: skip
    for name, seconds in {"middle": 4, "to the end": 5, "head": 2}.items():
        start_s, key = int(lines[name]["start_s"]), lines[name]["media_key"]
        shown = counters(nights.store / key[:2] / f"{key}.mp4")[:seconds]
        assert shown == [FPS * (start_s + second) for second in range(seconds)]
    failures = {line["detail"][:6]: line for line in nights.output.failures}
    codes = sorted(line["code"] for line in failures.values())
    assert codes == ["bad_row", "bad_row", "bad_row", "no_frames"]
    assert "the same film and window as row 2" in failures["row 5:"]["detail"]
    assert "max_seconds (10 s)" in failures["row 6:"]["detail"]
    assert "end_s" in failures["row 7:"]["detail"]


@pytest.mark.anyio
async def test_rows_name_windows_of_a_recording_that_is_joined(
    nights: Nights, recording: Path
) -> None:
    """Behind the seam they show what `segments = "all"` shows there, and what ffmpeg plays."""
    path = recording
    rows = nights.folder / "all.csv"
    rows.write_text("path,start_s,end_s\n" + f"{path},4,8\n{path},8,12\n")
    four_s = {"max_seconds": 4}
    whole = Nights(nights.folder / "whole", nights.folder / "other-media")
    async with serving(BLIND) as standin:
        everything = {"sources": [path], "segments": "all"}
        await whole.run(standin, media=four_s, input=everything)
        first = await nights.run(standin, media=four_s, input={"sources": [rows]})
        again = await nights.run(standin, media=four_s, input={"sources": [rows]})

    def shown(night: Nights) -> dict[float, str]:
        lines = night.output.captions
        return {line["start_s"]: line["media"]["video_sha256"] for line in lines}

    assert (first.captioned, again.captioned) == (2, 0)
    assert shown(nights) == {start: sha for start, sha in shown(whole).items() if start >= 4}


@pytest.mark.anyio
@pytest.mark.parametrize("order", [("", "10,20"), ("10,20", "")])
async def test_a_row_in_a_film_that_is_captioned_whole(
    nights: Nights, film: Path, order: tuple[str, str]
) -> None:
    """A window that a row names and that is one of its film's, too, is one clip."""
    rows = [f"film.mp4,{window or ','}\n" for window in order]
    listing = film.with_name("windows.csv")
    listing.write_text("path,start_s,end_s\n" + "".join(rows) + "gone.mp4,,\ngone.mp4,0,10\n")
    tables = ALL | {"input": {"segments": "all", "sources": [listing]}}
    async with serving(BLIND) as standin:
        assert (await nights.run(standin, **tables)).captioned == 4
        again = await nights.run(standin, **tables)
    assert (again.captioned, again.already_captioned) == (0, 4)
    assert sorted(line["start_s"] for line in nights.output.captions) == [0.0, 10.0, 20.0, 30.0]
    assert [line["source"] for line in nights.output.failures] == ["gone.mp4"]


@pytest.mark.anyio
async def test_a_limit_counts_windows(nights: Nights) -> None:
    """--limit stops within a film, and the next run goes on there."""
    async with serving(BLIND) as standin:
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
