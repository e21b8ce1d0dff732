"""Shares of the sources."""

import shutil
from pathlib import Path

import pytest
from pydantic import ValidationError

from captionfleet.config import InputConfig
from captionfleet.producer.walking.found import Unusable
from captionfleet.producer.walking.walk import Walk


@pytest.fixture
def library(tmp_path: Path) -> Path:
    for number in range(200):
        path = tmp_path / "lib" / f"{number % 7}" / f"{number}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"film %d" % number)
    rows = "".join(f"lib/{number % 7}/{number}.mp4,Who?\n" for number in range(0, 200, 3))
    (tmp_path / "all.csv").write_text(f"path,prompt\n{rows}gone.mp4,\n,bad\n,worse\n")
    return tmp_path


def shares(count: int, *sources: Path, **more: object) -> list[set[str]]:
    """What each share takes, by path and prompt, or by the row that is bad."""
    found = []
    for index in range(count):
        config = InputConfig.model_validate(
            {"sources": sources, "shard": f"{index}/{count}", **more}
        )
        found.append(
            {
                one.detail + one.source.path
                if isinstance(one, Unusable)
                else f"{one.path} {one.row.prompt}"
                for one in Walk(config)
            }
        )
    return found


def test_shares_are_all_there_is_once(library: Path) -> None:
    """Each film and each bad row is in one share; each share has some."""
    sources = library / "lib", library / "all.csv"
    (everything,) = shares(1, *sources)

    found = shares(8, *sources)

    assert sum(map(len, found)) == len(everything) == len(set().union(*found))
    assert all(found)


def test_a_file_stays_in_its_share(library: Path) -> None:
    """Neither other files nor another way to name it, nor its content, move a file."""
    before = shares(4, library / "lib")
    (library / "lib" / "new.mp4").write_bytes(b"new")
    (library / "lib" / "0" / "0.mp4").write_bytes(b"changed")
    (library / "link").symlink_to(library / "lib")

    after = shares(4, library / "link")

    for share, grown in zip(before, after, strict=True):
        assert {name.replace("/lib/", "/link/") for name in share} <= grown


def test_copies_are_in_one_share_by_content(library: Path) -> None:
    """By content, no two shares caption copies of one film."""
    shutil.copytree(library / "lib", library / "copy")

    found = shares(4, library / "lib", library / "copy", identity="content")

    for share in found:
        ends = [name.replace("/lib/", "/copy/") for name in share]
        assert len(ends) == 2 * len(set(ends))


@pytest.mark.parametrize("shard", ["4/4", "1", "-1/4", "a/b", "0/0", "1/", "0/1000001", "²/4"])
def test_a_share_that_cannot_be(shard: str) -> None:
    """Shares are counted from 0."""
    with pytest.raises(ValidationError, match="0/16 to 15/16"):
        InputConfig(shard=shard)
