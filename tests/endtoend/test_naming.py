"""A clip is known by the file it comes from, however that was named."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest

from captionfleet.producer.identity.clips import named_clip_id
from captionfleet.sink import RunSummary
from captionfleet.standin.options import StandinOptions
from captionfleet.standin.server import Standin, serving
from tests.support.known_films import copy_known
from tests.support.nights import Nights
from tests.support.output import Line
from tests.support.tiny_films import Library

pytestmark = pytest.mark.anyio

BLIND = StandinOptions(watch_media=False)


@pytest.fixture
def nights(library: Library, tmp_path: Path) -> Nights:
    return Nights(tmp_path, library.store)


@pytest.fixture
def films(library: Library, tmp_path: Path) -> Path:
    """Three films in videos/deep."""
    videos = tmp_path / "videos"
    (videos / "deep").mkdir(parents=True)
    for film in library.films[:3]:
        copy_known(library, film, videos / "deep")
    return videos


async def over(nights: Nights, standin: Standin, *sources: Path, **more: Any) -> RunSummary:
    """One night over these sources."""
    return await nights.run(standin, input={"sources": sources} | more)


def twins(folder: Path, film: Path, other: Path) -> tuple[Path, Path]:
    """Two films of two cameras that agree in name, size and time."""
    one, two = (folder / camera / "0001.mp4" for camera in ("cam1", "cam2"))
    size = max(film.stat().st_size, other.stat().st_size)
    for path, content in ((one, film.read_bytes()), (two, other.read_bytes())):
        path.parent.mkdir()
        free = size + 8 - len(content)  # a box that readers pass over: ISO/IEC 14496-12, 8.1.2
        path.write_bytes(content + free.to_bytes(4) + b"free" + bytes(free - 8))
        os.utime(path, ns=(10**18, 10**18))
    return one, two


async def test_three_ways_to_name_a_file(films: Path, nights: Nights, tmp_path: Path) -> None:
    """By a folder, by one below it and by a list, a file has one caption, and says where it is."""
    listing = tmp_path / "all.txt"
    listing.write_text("".join(f"{path}\n" for path in (films / "deep").iterdir()))
    async with serving(BLIND) as standin:
        for source in (films, films / "deep", listing):
            await over(nights, standin, source)
        assert standin.ledger.total == 3
    lines = nights.output.captions
    assert {line["path"] for line in lines} == set(map(str, (films / "deep").iterdir()))
    assert {(line["root"], str(Path(line["source"]).parent)) for line in lines} == {
        (str(films), "deep")
    }


async def test_twins_of_two_cameras(library: Library, nights: Nights, tmp_path: Path) -> None:
    """Files of one name, size and time in two folders are two clips with ids of their own."""
    one, two = twins(tmp_path, *library.films[:2])
    async with serving(BLIND) as standin:
        assert (await over(nights, standin, one.parent, two.parent)).captioned == 2
    lines = nights.output.captions
    assert {(line["path"], line["root"]) for line in lines} == {
        (str(path), str(path.parent)) for path in (one, two)
    }
    assert {line["source"] for line in lines} == {"0001.mp4"}


async def test_name_that_is_no_text_has_its_bytes(films: Path, nights: Nights) -> None:
    """A path and a root that are not UTF-8 have their exact bytes beside them."""
    folder = films / os.fsdecode(b"\xff")
    (films / "deep").rename(folder)
    async with serving(BLIND) as standin:
        await over(nights, standin, folder)
    for line in nights.output.captions:
        assert line["root"] == f"{films}/\\xff"
        assert line["path_b64"]
        assert line["root_b64"]


def as_earlier(nights: Nights, *names: str, source: str = "stat") -> list[Line]:
    """Rewrite the captions as version 0.1.0 wrote them, a line for each of these ends of names."""
    path = nights.output.folder / "captions.jsonl"
    lines = []
    for line in map(orjson.loads, path.read_bytes().splitlines()):
        facts = Path(line["path"]).stat()
        for name in names or (line["source"],):
            called = name.replace("*", Path(line["path"]).name)
            identity = named_clip_id(
                called.encode(), facts.st_size, facts.st_mtime_ns, line["start_s"], line["end_s"]
            )
            rest = {key: value for key, value in line.items() if key not in {"path", "root"}}
            lines.append(rest | {"source": called, _key(line, source): identity})
    path.write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))
    return lines


def _key(line: Mapping[str, Any], source: str) -> str:
    return "stat_id" if source == "content" and "stat_id" in line else "clip_id"


@pytest.mark.parametrize("identity", ["stat", "content"])
async def test_folder_of_the_earlier_version_goes_on(
    identity: str, films: Path, nights: Nights, tmp_path: Path
) -> None:
    """Captions that were called by their names count, and get their files' ids and paths."""
    listing = tmp_path / "all.txt"
    listing.write_text("videos/deep\n")
    async with serving(BLIND) as standin:
        await over(nights, standin, films, identity=identity)
        new = nights.output.captions
        old = as_earlier(nights, source=identity)
        assert {line["clip_id"] for line in old}
        for source in (films / "deep", listing, films):
            summary = await over(nights, standin, source, identity=identity)
            assert (summary.planned, summary.already_captioned) == (0, 3)
        assert standin.ledger.total == 3
    after = nights.output.captions
    assert [{**line, "root": "", "source": ""} for line in after] == [
        {**line, "root": "", "source": ""} for line in new
    ]
    assert not (nights.output.folder / "adopted.jsonl").exists()


async def test_clips_that_the_earlier_version_paid_twice_get_one_line(
    films: Path, nights: Nights
) -> None:
    """Lines of one file under three names become one, and a killed run's adoptions are kept."""
    async with serving(BLIND) as standin:
        await over(nights, standin, films)
        as_earlier(nights, "deep/*", "*", f"{films}/deep/*")
        assert len(nights.output.captions) == 9
        summary = await over(nights, standin, films / "deep")
        assert (summary.planned, summary.already_captioned) == (0, 3)
    assert len(nights.output.captions) == 3


async def test_caption_of_the_earlier_version_stays_with_its_film(
    library: Library, nights: Nights, tmp_path: Path
) -> None:
    """A twin that the earlier version left out is captioned now, and takes no caption away."""
    one, two = twins(tmp_path, *library.films[:2])
    async with serving(BLIND) as standin:
        await over(nights, standin, one.parent)
        (before,) = nights.output.captions
        as_earlier(nights)
        await over(nights, standin, two.parent)
        await over(nights, standin, two.parent, one.parent)
        assert standin.ledger.total == 2
    shas = {line["path"]: line["media"]["video_sha256"] for line in nights.output.captions}
    assert shas.keys() == {str(one), str(two)}
    assert shas[str(one)] == before["media"]["video_sha256"] != shas[str(two)]


async def test_failures_of_the_earlier_version_stand(nights: Nights) -> None:
    """A file that cannot be decoded is not tried again because the version changed."""
    nights.videos.mkdir()
    (nights.videos / "text.mp4").write_bytes(b"no film" * 100)
    async with serving(BLIND) as standin:
        await nights.run(standin)
        path = nights.output.folder / "failures.jsonl"
        line = orjson.loads(path.read_bytes())
        facts = (nights.videos / "text.mp4").stat()
        line["clip_id"] = named_clip_id(b"text.mp4", facts.st_size, facts.st_mtime_ns, 0.0, 60.0)
        path.write_bytes(orjson.dumps(line) + b"\n")
        for _ in range(2):
            assert (await nights.run(standin)).standing_failures == 1
    assert len(nights.output.failures) == 1


def moved(library: Path, to: Path) -> Path:
    """Move a library; a copy of it stays behind, which does no harm."""
    library.rename(to)
    shutil.copytree(to, library, copy_function=shutil.copy2)
    return to


@pytest.mark.parametrize("by", ["relocate", "content", "neither"])
async def test_library_that_moved(
    by: str, films: Path, nights: Nights, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A library at a new path keeps its captions by --relocate, said once, or by content."""
    identity = "content" if by == "content" else "stat"
    async with serving(BLIND) as standin:
        await over(nights, standin, films, identity=identity)
        new = moved(films, tmp_path / "moved")
        moves = [f"{films}={new}"] if by == "relocate" else []
        first = await over(nights, standin, new, identity=identity, relocate=moves)
        assert first.planned == (3 if by == "neither" else 0)
        again = await over(nights, standin, new, identity=identity)
        assert (again.planned, again.already_captioned) == (0, 3)
    if by == "relocate":
        assert {line["root"] for line in nights.output.captions} == {str(new)}
        assert "no file has a caption under its former path" not in capsys.readouterr().err
