"""A list in Parquet, as data teams keep them."""

from pathlib import Path

import orjson
import pytest

from captionfleet.config import InputConfig
from captionfleet.errors import ConfigError
from captionfleet.messages import Source
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


@pytest.mark.parametrize("content", [b"no table", None])
def test_what_is_no_list_in_parquet(tmp_path: Path, content: bytes | None) -> None:
    """A file that is no Parquet, or a table without paths, is said to be none."""
    path = tmp_path / "all.parquet"
    parquet.write_table(pyarrow.table({"month": [1]}), path)
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(ConfigError, match=r"it is no (list of videos|Parquet file)"):
        list(Walk(InputConfig(sources=(path,))))
