"""Films behind web addresses: captioned like those on disk, a part of each fetched."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from shutil import copyfile

import orjson
import pytest

from captionfleet.standin.options import StandinOptions
from captionfleet.standin.server import serving
from tests.support.nights import Nights
from tests.support.output import Line
from tests.support.range_server import RangeServer, change, range_server
from tests.support.sparse_film import write_sparse_film
from tests.support.tiny_films import Library

pytest.importorskip("obstore")
pytestmark = pytest.mark.anyio

SIGNED = "X-Amz-Signature=hush0123&X-Amz-Credential=hush0456"


@pytest.fixture
def server(library: Library, tmp_path: Path) -> Iterator[RangeServer]:
    folder = tmp_path / "served"
    folder.mkdir()
    for film in library.films[:5]:
        copyfile(film, folder / film.name)
    with range_server(folder) as served:
        yield served


@pytest.fixture
def nights(tmp_path: Path) -> Nights:
    return Nights(tmp_path, tmp_path / "store")


def rows(path: Path, *addresses: str) -> Path:
    """A list of these."""
    path.write_bytes(b"".join(orjson.dumps({"url": one}) + b"\n" for one in addresses))
    return path


async def test_addresses_are_captioned_once(server: RangeServer, nights: Nights) -> None:
    """A URL as source and URLs in rows have a line each, signed ones without their signature.

    A second night, signed otherwise, pays for nothing; the same media as from disk are sent.
    """
    base = server.base_url
    listing = rows(
        nights.folder / "all.jsonl",
        f"{base}/clip-01.mp4?{SIGNED}&v=1",
        f"{base}/clip-01.mp4?X-Amz-Signature=hush9&v=1",  # the same
        f"{base}/clip-00.mp4",  # which is a source as well
        f"{base}/clip-02.mp4",
        f"{base}/gone.mp4",
        "ftp://nowhere/x.mp4",
    )
    plain = nights.folder / "plain.txt"
    plain.write_text(f"{base}/clip-02.mp4\nhttps://me:hush@[x/a.mp4\n")
    sources = {"input": {"sources": [f"{base}/clip-00.mp4", listing, plain]}}
    async with serving(StandinOptions()) as standin:
        first = await nights.run(standin, **sources)
        near = {"sources": [server.folder], "exclude": ["clip-03*", "clip-04*"]}
        away = Nights(nights.folder / "near", nights.folder / "near-store")
        await away.run(standin, input=near)
        rows(listing, f"{base}/clip-01.mp4?X-Amz-Signature=other&v=1")
        second = await nights.run(standin, **sources)

    assert (first.captioned, first.failed) == (3, 3)
    assert (second.captioned, second.already_captioned) == (0, 3)
    lines = {line["path"]: line for line in nights.output.captions}
    assert set(lines) == {
        f"{base}/clip-00.mp4",
        f"{base}/clip-01.mp4?v=1",
        f"{base}/clip-02.mp4",
    }
    sent = {line["media"]["video_sha256"] for line in lines.values()}
    assert sent == {line["media"]["video_sha256"] for line in away.output.captions}
    for path in filter(Path.is_file, nights.output.folder.rglob("*")):
        assert b"hush" not in path.read_bytes(), path


WINDOWS = (("0.5", "1.5", "What is it?"), ("", "1", ""), ("1", "", ""), ("", "", "Where?"))
"""Of rows: their start and end, as texts, and their prompt."""


def write_lists(folder: Path, paths: Sequence[str]) -> list[Path]:
    """A list of each kind, in which each film has these windows."""
    names = ("url", "start_s", "end_s", "prompt", "shot")
    lists = []
    for ending, path in zip((".csv", ".tsv", ".jsonl"), paths, strict=True):
        table = [(path, *window, f"shot {number}") for number, window in enumerate(WINDOWS)]
        lists.append(folder / f"all{ending}")
        if ending == ".jsonl":
            rows = [dict(zip(names, row, strict=True)) for row in table]
            lists[-1].write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
            continue
        with lists[-1].open("w", newline="") as file:
            separator = "," if ending == ".csv" else "\t"
            csv.writer(file, delimiter=separator).writerows([names, *table])
    return lists


def parts(lines: list[Line]) -> set[tuple[object, ...]]:
    """What of each line is the same wherever the film lies."""
    return {
        (
            line["path"].rpartition("/")[2],
            line["start_s"],
            line["end_s"],
            line["prompt"],
            line["metadata"],
            line["media"]["video_sha256"],
            line["media"]["audio_sha256"],
        )
        for line in lines
    }


async def test_windows_and_prompts_of_rows_with_addresses(
    server: RangeServer, nights: Nights
) -> None:
    """Rows of every kind of list give the lines that those with paths give, and once."""
    near = Nights(nights.folder / "near", nights.folder / "near-store")
    names = ("clip-00.mp4", "clip-01.mp4", "clip-02.mp4")
    far_lists = write_lists(nights.folder, [f" {server.base_url}/{name}" for name in names])
    near_lists = write_lists(server.folder, names)
    async with serving(StandinOptions()) as standin:
        there = {"input": {"sources": far_lists, "segments": "all"}, "media": {"max_seconds": 2}}
        first = await nights.run(standin, **there)
        again = await nights.run(standin, **there)
        here = {"sources": near_lists, "segments": "all"}
        await near.run(standin, input=here, media={"max_seconds": 2})

    assert parts(nights.output.captions) == parts(near.output.captions)
    assert {line["prompt"] for line in nights.output.captions} == {"What is it?", "Where?", ""}
    assert first.captioned == len(near.output.captions) > 3 * 3
    assert (again.captioned, again.already_captioned) == (0, first.captioned)


async def test_failures_of_a_server_have_their_codes(server: RangeServer, nights: Nights) -> None:
    """Gone, refused and changed are told apart; what passes is waited for and costs nothing."""

    def fault(_: RangeServer, name: str, number: int) -> str:
        if name == "clip-00.mp4":
            return "403"
        if name == "clip-01.mp4" and number > 1:
            return "404"
        if name == "clip-02.mp4" and number == 2:
            change(server.folder / name)
        if name == "clip-03.mp4":
            return {2: "500", 3: "cut"}.get(number, "")
        return "whole" if name == "clip-04.mp4" else ""

    server.fault = fault
    names = [f"{server.base_url}/clip-0{number}.mp4" for number in range(5)]
    listing = rows(nights.folder / "all.jsonl", *names)
    async with serving(StandinOptions()) as standin:
        summary = await nights.run(standin, input={"sources": [listing]})

    codes = {line["path"][-11:]: line["code"] for line in nights.output.failures}
    assert codes == {
        "clip-00.mp4": "source_unreadable",
        "clip-01.mp4": "source_missing",
        "clip-02.mp4": "source_changed",
        "clip-04.mp4": "source_unreadable",
    }
    assert summary.captioned == 1


@pytest.mark.parametrize("kind", ["replicas", "weak", "now", "earlier lines"])
async def test_a_server_s_versions(server: RangeServer, nights: Nights, kind: str) -> None:
    """A film is the same as long as its ETag or its time is; a changed one is captioned anew."""
    server.fault = lambda *_: "timed" if kind == "earlier lines" else kind
    name = f"{server.base_url}/clip-00.mp4"
    listing = rows(nights.folder / "all.jsonl", name, f"{name}?X-Amz-Signature=hush")
    captions = nights.output.folder / "captions.jsonl"
    async with serving(StandinOptions()) as standin:
        first = await nights.run(standin, input={"sources": [listing]})
        if kind == "earlier lines":  # which say nothing of the time
            lines = [line | {"stat_id": ""} for line in nights.output.captions]
            captions.write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))
        second = await nights.run(standin, input={"sources": [listing, name]})
        change(server.folder / "clip-00.mp4", by_s=60)
        third = await nights.run(standin, input={"sources": [listing]})
        fourth = await nights.run(standin, input={"sources": [listing]})

    assert [night.captioned for night in (first, second, third, fourth)] == [1, 0, 1, 0]
    assert not any(night.failed for night in (first, second, third, fourth))


async def test_a_film_that_changes_while_it_is_read(server: RangeServer, nights: Nights) -> None:
    """Also where no ETag is the same, and its size is."""

    def fault(_: RangeServer, name: str, number: int) -> str:
        if number > 2:  # after the first looks
            change(server.folder / name, by_s=60)
        return "replicas"

    server.fault = fault
    async with serving(StandinOptions()) as standin:
        await nights.run(standin, input={"sources": [f"{server.base_url}/clip-00.mp4"]})
    assert [line["code"] for line in nights.output.failures] == ["source_changed"]


async def test_a_window_costs_its_own_bytes(tmp_path: Path, nights: Nights) -> None:
    """Of 20 GB with the index at the end, at most half more than one minute and the index."""
    folder = tmp_path / "served"
    folder.mkdir()
    film = write_sparse_film(folder / "long.mp4", minutes=12, size_bytes=20 * 10**9)
    listing = nights.folder / "all.jsonl"
    with range_server(folder) as server:
        async with serving(StandinOptions(watch_media=False)) as standin:
            for minute in (0, 10):
                server.sent_bytes = 0
                window = {"start_s": minute * 60, "end_s": minute * 60 + 60}
                listing.write_bytes(orjson.dumps({"url": f"{server.base_url}/long.mp4"} | window))
                summary = await nights.run(standin, input={"sources": [listing]})
                assert summary.captioned == 1
                assert film.minute_bytes < server.sent_bytes
                assert server.sent_bytes < 1.5 * (film.minute_bytes + film.index_bytes)
