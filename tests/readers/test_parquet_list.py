"""A list in Parquet, as data teams keep them."""

from pathlib import Path

import orjson
import pytest

from captionfleet.config import InputConfig
from captionfleet.errors import ConfigError
from captionfleet.messages import Source
from captionfleet.producer.lists.rows import BadRow, Entry
from captionfleet.producer.sources import entries_of
from captionfleet.producer.walking.found import Unusable
from captionfleet.producer.walking.walk import Walk

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")


def test_rows_of_parquet(tmp_path: Path) -> None:
    """Typed columns come through; a null is as good as none; a bad row is named by its place."""
    (tmp_path / "a.mp4").write_bytes(b"film")
    columns = {
        "path": ["a.mp4", None, "a.mp4"],
        "id": [7, 8, 9],
        "prompt": [None, None, "Who?"],
        "score": [0.5, None, None],
    }
    parquet.write_table(pyarrow.table(columns), tmp_path / "all.parquet")

    first, bad, last = Walk(InputConfig(sources=(tmp_path / "all.parquet",)))

    assert isinstance(first, Source)
    assert (first.name, first.row.id, first.row.prompt) == ("a.mp4", "7", "")
    assert orjson.loads(first.row.metadata) == {"score": 0.5}
    assert isinstance(bad, Unusable)
    assert bad.detail == "row 2: the path is empty"
    assert isinstance(last, Source)
    assert last.row.prompt == "Who?"


def test_addresses_and_windows_in_parquet(tmp_path: Path) -> None:
    """Rows of a table name objects, and a window of each; what is no address is a bad row."""
    columns = {
        "url": [" s3://films/a.mp4", "https://host/b.mp4?v=1", "s3://films", "ftp://host/c.mp4"],
        "start_s": [0.5, None, None, None],
        "end_s": [2, 1, None, None],
    }
    path = tmp_path / "all.parquet"
    parquet.write_table(pyarrow.table(columns), path)

    first, second, *bad = entries_of(path)

    assert isinstance(first, Entry)
    assert isinstance(second, Entry)
    assert (first.path, second.path) == ("s3://films/a.mp4", "https://host/b.mp4?v=1")
    assert first.row is not None
    assert (first.row.start_s, first.row.end_s) == (0.5, 2.0)
    assert [one.number for one in bad if isinstance(one, BadRow)] == [3, 4]


@pytest.mark.parametrize("content", [b"no table", None])
def test_what_is_no_list_in_parquet(tmp_path: Path, content: bytes | None) -> None:
    """A file that is no Parquet, or a table without paths, is said to be none."""
    path = tmp_path / "all.parquet"
    parquet.write_table(pyarrow.table({"month": [1]}), path)
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(ConfigError, match=r"it is not a (list of videos|Parquet file)"):
        list(Walk(InputConfig(sources=(path,))))
