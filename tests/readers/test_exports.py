"""Exports of a thousand clips, opened by the programs that they are for."""

import gc
from pathlib import Path
from typing import Any

import duckdb
import pytest

from captionfleet.config import CaptionConfig, ExportConfig
from captionfleet.export.export import export_lines
from tests.support.killed_export import KilledExports
from tests.support.library import film, line, with_media, write_lines

pd = pytest.importorskip("pandas", reason="make test-readers installs it")
datasets = pytest.importorskip("datasets", reason="as above")
pysubs2 = pytest.importorskip("pysubs2", reason="as above")
webdataset = pytest.importorskip("webdataset", reason="as above")

CLIPS = 1000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An output folder, its films and its media."""
    root = tmp_path_factory.mktemp("exports")
    films = [film(root / "videos", f"{number:04}.mp4") for number in range(CLIPS)]
    lines = (
        line(one, f"Of {number}, \u202eleft\u202c.\n=1+1", **with_media(root / "store", number))
        for number, one in enumerate(films)
    )
    return write_lines(root / "out", lines)


def export(folder: Path, to: str, **keys: Any) -> Path:
    """The folder of an export."""
    export_lines(folder, ExportConfig.model_validate({"to": to, **keys}), CaptionConfig())
    return folder / "export"


def test_parquet_and_csv(folder: Path) -> None:
    """DuckDB and pandas read the same captions from both."""
    made = export(folder, "parquet")
    export(folder, "csv")
    table = pd.read_parquet(made / "captions.parquet")
    assert len(table) == CLIPS
    assert table.caption[7] == "Of 7, \u202eleft\u202c.\n=1+1"
    counted = duckdb.sql(f"SELECT count(DISTINCT caption) FROM '{made}/captions.parquet'")  # noqa: S608
    assert counted.fetchall() == [(CLIPS,)]
    cells = pd.read_csv(made / "captions.csv")
    assert list(cells.caption) == list(table.caption)
    assert list(cells.columns) == list(table.columns)


@pytest.mark.parametrize("to", ["parquet", "hf"])
def test_tables_of_one_request_are_not_written_over_edits(tmp_path: Path, to: str) -> None:
    """They hold the request's lines alone, and what somebody edited stays unless that is asked."""
    films = [film(tmp_path / "videos", f"{number}.mp4") for number in range(3)]
    lines = [line(one, f"{name}.", request=name) for one in films for name in ("short", "tags")]
    folder = write_lines(tmp_path / "out", lines[:2])
    keys = {"where": ["request=tags"]}
    data = "captions.parquet" if to == "parquet" else "hf/data/train.parquet"
    path = export(folder, to, **keys) / data

    def requests() -> list[str]:
        return list(pd.read_parquet(path).request)

    assert requests() == ["tags"]
    write_lines(folder, lines)
    export(folder, to, **keys, overwrite="never")
    assert requests() == ["tags"]
    export(folder, to, **keys)
    assert requests() == ["tags"] * 3
    pd.DataFrame({"request": ["mine"]}).to_parquet(path)
    export(folder, to, **keys)
    assert requests() == ["mine"]
    export(folder, to, **keys, overwrite="always")
    assert requests() == ["tags"] * 3


def test_hf_folder(folder: Path, tmp_path: Path) -> None:
    """`datasets.load_dataset` opens the folder, by its card."""
    made = export(folder, "hf")
    rows = datasets.load_dataset(str(made / "hf"), split="train", cache_dir=str(tmp_path))
    assert rows.num_rows == CLIPS
    assert rows[999]["source"] == "0999.mp4"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_webdataset(folder: Path) -> None:
    """`webdataset` reads every sample with its media, caption and facts."""
    made = export(folder, "webdataset", media=folder.parent / "store", shard_clips=300)
    shards = [str(path) for path in sorted((made / "webdataset").glob("*.tar"))]
    samples = list(webdataset.WebDataset(shards, shardshuffle=False).decode())
    assert (len(shards), len(samples)) == (4, CLIPS)
    assert samples[5]["mp4"] == b"video 5"
    assert samples[5]["json"]["caption"] == samples[5]["txt"]
    del samples
    gc.collect()  # what it leaves open is reported here, not in the next test


@pytest.mark.parametrize("to", ["srt", "vtt"])
def test_subtitles(folder: Path, to: str) -> None:
    """pysubs2 reads one cue, over the film, in each of a thousand files."""
    export(folder, to)
    for number in range(CLIPS):
        (cue,) = pysubs2.load(str(folder.parent / f"videos/{number:04}.{to}"))
        assert (cue.start, cue.end) == (0, 20_000)
        assert cue.plaintext == f"Of {number}, \u202eleft\u202c.\n=1+1"


@pytest.mark.parametrize(("to", "film_key"), [("jsonl", "path"), ("kohya", "video_path")])
def test_json_lines(folder: Path, to: str, film_key: str) -> None:
    """Pandas reads a row for each clip, with the film that is there and its caption."""
    name = "captions" if to == "jsonl" else to
    table = pd.read_json(export(folder, to) / f"{name}.jsonl", lines=True)
    assert len(table) == CLIPS
    assert all(Path(path).is_file() for path in table[film_key])
    assert table.caption[7] == "Of 7, \u202eleft\u202c.\n=1+1"


@pytest.mark.parametrize(("to", "files"), [("parquet", 1), ("hf", 2)])
def test_killed_and_run_again_it_ends_the_same(tmp_path: Path, to: str, files: int) -> None:
    """However far an export came before SIGKILL, the next one makes what one in peace makes."""
    assert len(KilledExports(tmp_path, to).check()) == files
