"""Exports of an output folder: current lines only, whole files, no file of others written over."""

import csv
import os
import shutil
import tarfile
from contextlib import chdir
from pathlib import Path

import av
import duckdb
import orjson
import pytest

from captionfleet.cli import run_command_line
from captionfleet.config import CaptionConfig, ExportConfig, InputConfig
from captionfleet.errors import ConfigError
from captionfleet.export.export import export_lines
from captionfleet.messages import Source
from captionfleet.producer.walking.walk import Walk
from tests.support.library import film, line, window_line, with_media, write_lines
from tests.support.run_folder import HOSTILE

PLAIN = CaptionConfig()


def export(folder: Path, to: str, **keys: object) -> str:
    """What an export says that it did."""
    return str(export_lines(folder, ExportConfig.model_validate({"to": to, **keys}), PLAIN))


def names_in(shard: Path) -> list[str]:
    """The members of a shard."""
    with tarfile.open(shard) as archive:
        return archive.getnames()


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """A folder for films."""
    (tmp_path / "videos").mkdir()
    return tmp_path / "videos"


def test_text_files_beside_films(tmp_path: Path, videos: Path) -> None:
    """Each current caption stands beside its film; films that changed or went have none."""
    kept, gone = film(videos, "a/kept.mp4"), film(videos, "gone.mp4")
    changed, twin = film(videos, "changed.mp4"), film(videos, "a/kept.mov")
    lines = [line(one, f"Of {one.name}.") for one in (kept, gone, changed, twin)]
    lines.append(line(kept, "Of kept, later."))
    folder = write_lines(tmp_path / "out", lines)
    (videos / "gone.mp4").unlink()
    film(videos, "changed.mp4", b"another film")
    said = export(folder, "txt")
    texts = {path.name: path.read_text() for path in videos.rglob("*.txt")}
    assert set(texts.values()) == {"Of kept, later.\n", "Of a/kept.mov.\n"}
    assert len(texts) == 2
    assert "2 files written" in said
    assert "1 lines of files that are gone" in said
    assert "2 files as they were" in export(folder, "txt")


def test_an_edited_table_stays(tmp_path: Path, videos: Path) -> None:
    """A table that was edited since its export is replaced only if that is asked."""
    folder = write_lines(tmp_path / "out", [line(film(videos, "1.mp4"), "First.")])
    table = tmp_path / "captions.csv"
    export(folder, "csv", out=table)
    table.write_text("edited")
    assert "edited since" in export(folder, "csv", out=table)
    assert table.read_text() == "edited"
    export(folder, "csv", out=table, overwrite="always")
    assert "First." in table.read_text()


def test_files_of_others_stay(tmp_path: Path, videos: Path) -> None:
    """A file that no export wrote is never written over, an edited one only if that is asked."""
    films = [film(videos, f"{number}.mp4") for number in range(3)]
    (videos / "0.txt").write_text("mine")
    (tmp_path / "target").write_text("far")
    (videos / "1.txt").symlink_to(tmp_path / "target")
    folder = write_lines(tmp_path / "out", [line(one, "First.") for one in films])
    export(folder, "txt")
    (videos / "2.txt").write_text("edited")
    write_lines(folder, [line(one, "Second.") for one in films])
    assert "edited since" in export(folder, "txt")
    assert (videos / "2.txt").read_text() == "edited"
    export(folder, "txt", overwrite="always")
    assert (videos / "2.txt").read_text() == "Second.\n"
    assert (videos / "0.txt").read_text() == "mine"
    assert (tmp_path / "target").read_text() == "far"
    write_lines(folder, [line(films[2], "Third.")])
    export(folder, "txt", overwrite="never")
    assert (videos / "2.txt").read_text() == "Second.\n"
    export(folder, "txt")
    assert (videos / "2.txt").read_text() == "Third.\n"


def test_text_of_a_changed_film_goes(tmp_path: Path, videos: Path) -> None:
    """A text that the export wrote does not stay beside a film that it is not of any more."""
    films = [film(videos, "a.mp4"), film(videos, "b.mp4")]
    folder = write_lines(tmp_path / "out", [line(one, "Words.") for one in films])
    export(folder, "txt")
    film(videos, "a.mp4", b"another film")
    assert "1 files removed" in export(folder, "txt")
    assert [path.name for path in videos.glob("*.txt")] == ["b.txt"]


def test_windows_of_a_film(tmp_path: Path, videos: Path) -> None:
    """Several windows are several texts, and one file of subtitles on the film's timeline."""
    one = film(videos, "film.mp4")
    folder = write_lines(
        tmp_path / "out",
        [window_line(one, 60.0, 120.0, "Then."), window_line(one, 0.0, 60.0, "First.")],
    )
    export(folder, "txt", out=tmp_path / "texts")
    names = sorted(path.name for path in (tmp_path / "texts").iterdir())
    assert names == ["film.00000s-00060s.txt", "film.00060s-00120s.txt"]
    export(folder, "srt")
    assert (videos / "film.srt").read_text() == (
        "1\n00:00:00,000 --> 00:01:00,000\nFirst.\n\n2\n00:01:00,000 --> 00:02:00,000\nThen.\n"
    )


def test_no_name_leads_out_of_the_tree(tmp_path: Path, videos: Path) -> None:
    """A name with `../` in it becomes a file within the tree."""
    one = film(videos, "a.mp4")
    folder = write_lines(tmp_path / "out", [line(one, "x", source="../../../a.mp4")])
    export(folder, "txt", out=tmp_path / "tree")
    assert [path.name for path in tmp_path.rglob("*.txt")] == ["a.txt"]
    assert (tmp_path / "tree/__/__/__/a.txt").is_file()


def test_an_absent_disk_empties_no_export(tmp_path: Path, videos: Path) -> None:
    """Where no film is there at all, the last export stays and the command says why."""
    folder = write_lines(tmp_path / "out", [line(film(videos, "a.mp4"), "x")])
    export(folder, "csv")
    before = (folder / "export/captions.csv").read_bytes()
    shutil.rmtree(videos)
    with pytest.raises(ConfigError, match="is the disk mounted"):
        export(folder, "csv")
    assert (folder / "export/captions.csv").read_bytes() == before
    assert "1 lines" in export(folder, "csv", all=True)


def test_hostile_captions_in_tables(tmp_path: Path, videos: Path) -> None:
    """Formulas, NULs, line breaks and a megabyte come out as text, one row each."""
    captions = [*HOSTILE.values(), '=HYPERLINK("x")', "@SUM(1)", "-1\n+2", "a,b\r\nc", "\x00="]
    films = [film(videos, f"{number}.mp4") for number in range(len(captions))]
    lines = [line(one, text) for one, text in zip(films, captions, strict=True)]
    folder = write_lines(tmp_path / "out", lines)
    for to in ("csv", "jsonl", "kohya", "txt", "srt", "vtt"):
        export(folder, to)
    with (folder / "export/captions.csv").open(newline="") as file:
        csv.field_size_limit(2**22)
        rows = list(csv.DictReader(file))
    assert len(rows) == len(captions)
    assert not [row for row in rows if row["caption"].startswith(("=", "+", "-", "@"))]
    table = duckdb.read_csv(f"{folder}/export/captions.csv", max_line_size=4_000_000)
    counted = table.aggregate("count(*), max(length(caption))").fetchall()
    assert counted == [(len(captions), 2**20)]
    exact = (folder / "export/captions.jsonl").read_bytes().splitlines()
    assert [orjson.loads(one)["caption"] for one in exact] == captions
    assert len((folder / "export/kohya.jsonl").read_bytes().splitlines()) == len(captions)
    assert not [path for path in videos.glob("*.txt") if "\0" in path.read_text()]


def test_shards_grow_and_keep_what_the_store_evicted(tmp_path: Path, videos: Path) -> None:
    """A later export adds to the shards; a clip whose media are gone from the store stays there."""
    store = tmp_path / "store"
    films = [film(videos, f"{number}.mp4") for number in range(5)]
    made = [with_media(store, number) for number in range(5)]
    lines = [line(o, f"Of {o.name}.", **k) for o, k in zip(films, made, strict=True)]
    folder = write_lines(tmp_path / "out", lines[:3])
    keys = {"media": store, "shard_clips": 2}
    export(folder, "webdataset", **keys)
    shutil.rmtree(store / "00")
    with_media(store, 3)
    write_lines(folder, lines)
    said = export(folder, "webdataset", **keys)
    assert "1 left out: their media are not in the store" in said
    shards = sorted((folder / "export/webdataset").iterdir())
    names = [names_in(shard) for shard in shards]
    assert [len(one) for one in names] == [8, 8]
    with tarfile.open(shards[1]) as archive:
        texts = [archive.extractfile(name) for name in archive.getnames() if ".txt" in name]
        assert [file.read() for file in texts if file] == [b"Of 2.mp4.", b"Of 3.mp4."]
    film(videos, "0.mp4", b"another film")
    export(folder, "webdataset", **keys)
    assert len(names_in(shards[0])) == 4


def test_a_shard_is_completed_once_its_media_are_back(tmp_path: Path, videos: Path) -> None:
    """A clip whose media are not what was sent is counted each time, and not left out for good."""
    store = tmp_path / "store"
    made = [with_media(store, number) for number in range(2)]
    films = [film(videos, f"{number}.mp4") for number in range(2)]
    lines = [line(o, f"Of {o.name}.", **k) for o, k in zip(films, made, strict=True)]
    folder = write_lines(tmp_path / "out", lines)
    (broken,) = store.rglob("*1.mp4")
    broken.write_bytes(b"other")
    for _ in range(2):
        assert "1 clips written, 1 left out" in export(folder, "webdataset", media=store)
    with_media(store, 1)
    assert "2 clips written" in export(folder, "webdataset", media=store)
    assert "2 clips as they were" in export(folder, "webdataset", media=store)


def test_shards_hold_what_was_sent(tmp_path: Path, videos: Path) -> None:
    """Clips that went as pictures stand in the shards as these."""
    store = tmp_path / "store"
    made = with_media(store, 1, as_frames=True)
    folder = write_lines(tmp_path / "out", [line(film(videos, "1.mp4"), "Of it.", **made)])
    export(folder, "webdataset", media=store)
    (shard,) = (folder / "export/webdataset").iterdir()
    assert [Path(name).suffix for name in names_in(shard)] == [".mjpeg", ".wav", ".txt", ".json"]


def test_filters_and_wording_by_flags(
    tmp_path: Path, videos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command takes filters and wording; what is no filter is refused before anything."""
    films = [film(videos, f"{year}/a.mp4") for year in (2023, 2024)]
    lines = [line(films[0], "The video shows a."), line(films[1], "b", flags="truncated")]
    folder = write_lines(tmp_path / "out", lines)
    words = ["export", os.fspath(folder), "--to", "txt", "--strip-preamble", "--prefix", "x "]
    assert run_command_line([*words, "--where", "path=2023/*"]) == 0
    assert [path.read_text() for path in videos.rglob("*.txt")] == ["x A.\n"]
    table = ["export", os.fspath(folder), "--to", "csv"]
    assert (
        run_command_line([*table, "--where", "flag=truncated", "--where", "time<2027-01-01"]) == 0
    )
    assert len((folder / "export/captions.csv").read_text().splitlines()) == 2
    assert run_command_line([*table, "--where", "colour=red"]) == 2
    assert "the keys are" in capsys.readouterr().err
    (tmp_path / "mine.csv").write_text("mine")
    assert run_command_line([*table, "--out", os.fspath(tmp_path / "mine.csv")]) == 3
    assert (tmp_path / "mine.csv").read_text() == "mine"


@pytest.mark.parametrize(
    ("words", "code", "complaint"),
    [
        (("csv", "--where", "request=nope"), 2, "no line is of a request of that name"),
        (("csv", "--where", "code=nope"), 2, "nope is not a failure code"),
        (("txt", "--out", "there"), 3, "a file is in the folder's place"),
    ],
)
def test_what_can_only_be_a_mistake_replaces_nothing(
    videos: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], code: int,
    complaint: str,
) -> None:  # fmt: skip
    """A name that nothing has, or a file where a folder should be, ends the export with a line."""
    (videos / "there").write_text("mine")
    folder = write_lines(videos / "out", [line(film(videos, "a.mp4"), "x", request="tags")])
    export(folder, "csv")
    before = (folder / "export/captions.csv").read_bytes()
    with chdir(videos):
        assert run_command_line(["export", os.fspath(folder), "--to", *words]) == code
    assert complaint in capsys.readouterr().err
    assert (folder / "export/captions.csv").read_bytes() == before


def test_cues_are_worded_one_by_one(tmp_path: Path, videos: Path) -> None:
    """On a single line, with a prefix, each event of a caption keeps its time."""
    text = "The video shows rain.\n[0:02] The video shows\nsun."
    folder = write_lines(tmp_path / "out", [line(film(videos, "a.mp4"), text)])
    wording = CaptionConfig(prefix="sks ", single_line=True, strip_preamble=True)
    export_lines(folder, ExportConfig(to="srt"), wording)
    blocks = (videos / "a.srt").read_text().split("\n\n")
    assert [block.splitlines()[1:] for block in blocks] == [
        ["00:00:00,000 --> 00:00:02,000", "sks Rain."],
        ["00:00:02,000 --> 00:01:00,000", "sks Sun."],
    ]


def test_prune_shows_and_keeps(
    tmp_path: Path, videos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Stale lines are shown, taken out on request, and kept beside."""
    kept, gone = film(videos, "kept.mp4"), film(videos, "gone.mp4")
    away = film(tmp_path / "usb", "away.mp4")
    lines = [line(one, "x") for one in (kept, gone, away)]
    folder = write_lines(tmp_path / "out", [*lines, b"no record\n"])
    (videos / "gone.mp4").unlink()
    shutil.rmtree(tmp_path / "usb")
    before = (folder / "captions.jsonl").read_bytes()
    assert run_command_line(["prune", os.fspath(folder)]) == 0
    assert (folder / "captions.jsonl").read_bytes() == before
    assert "gone      " in capsys.readouterr().out
    assert run_command_line(["prune", os.fspath(folder), "--yes"]) == 0
    assert (folder / "captions.jsonl").read_bytes() == lines[0] + lines[2] + b"no record\n"
    assert (folder / "pruned.jsonl").read_bytes() == lines[1]


@pytest.mark.parametrize("start", ["/", "../"])
def test_films_of_a_list_on_a_disk_that_is_not_mounted(tmp_path: Path, start: str) -> None:
    """Prune and exports leave their captions alone, though another disk of the list is mounted."""
    listing, mounts = tmp_path / "lists/all.txt", tmp_path / "mnt"
    names = ["a/kept.mp4", "a/gone.mp4", "b/away.mp4", "b/deep/away.mp4"]
    for name in names:
        film(mounts, name)
    at = mounts if start == "/" else Path("../mnt")
    listing.parent.mkdir()
    listing.write_text("".join(f"{at / name}\n" for name in names))
    found = [one for one in Walk(InputConfig(sources=[listing])) if isinstance(one, Source)]
    assert [one.root for one in found] == [str(listing.parent)] * 4
    folder = write_lines(tmp_path / "out", [line(one, "x") for one in found])
    lines = (folder / "captions.jsonl").read_bytes().splitlines(keepends=True)
    export(folder, "txt", out=tmp_path / "texts")
    (mounts / "a/gone.mp4").unlink()
    (mounts / "b").rename(tmp_path / "unplugged")
    export(folder, "txt", out=tmp_path / "texts")
    assert run_command_line(["prune", os.fspath(folder), "--yes"]) == 0
    assert (folder / "pruned.jsonl").read_bytes() == lines[1]
    texts = sorted(path.name for path in (tmp_path / "texts").rglob("*.txt"))
    assert texts == ["away.txt", "away.txt", "kept.txt"]


def test_subtitles_open(tmp_path: Path, videos: Path) -> None:
    """FFmpeg reads the subtitles, with their times."""
    films = [film(videos, f"{number}.mp4") for number in range(3)]
    texts = ["[0:02 - 0:04] <i>Rain</i> & snow.\n[0:05] Sun.", "One\n\nline --> two", "\x00"]
    lines = [line(one, text) for one, text in zip(films, texts, strict=True)]
    folder = write_lines(tmp_path / "out", lines)
    for to in ("srt", "vtt"):
        export(folder, to)
        with av.open(videos / f"0.{to}") as opened:
            packets = [packet for packet in opened.demux() if packet.size]
        times = [
            float(packet.pts * packet.time_base) for packet in packets if packet.pts is not None
        ]
        assert times == [2.0, 5.0]
