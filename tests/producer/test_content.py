"""What a file is by its bytes."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from blockbuster import blockbuster_ctx

import captionfleet
from captionfleet.errors import FailureCode
from captionfleet.messages import Source
from captionfleet.producer.identity.content import read_content
from captionfleet.producer.walking.found import Unusable

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def nothing_blocks_the_loop() -> Iterator[None]:
    with blockbuster_ctx(captionfleet):
        yield


def source(path: Path, content: bytes = b"film") -> Source:
    """A file as a walk finds it."""
    path.write_bytes(content)
    facts = path.stat()
    return Source(str(path), path.name, facts.st_size, facts.st_mtime_ns)


async def test_bytes_alone_decide(tmp_path: Path) -> None:
    """Files of the same bytes are one, whatever their names; another byte is another file."""
    files = (("a", b"film"), ("b", b"film"), ("c", b"Film"))
    one, same, other = [
        await read_content(source(tmp_path / name, content), 10) for name, content in files
    ]

    assert one == same != other
    assert isinstance(one, bytes)


async def code_of(found: Source, timeout_s: float = 10) -> FailureCode:
    """Why a file has no digest."""
    result = await read_content(found, timeout_s)
    assert isinstance(result, Unusable)
    return result.code


async def test_what_is_not_the_file_that_was_found(tmp_path: Path) -> None:
    """A file that grew, vanished or became a FIFO is another one, and nobody waits for it."""
    grown, gone, fifo = (source(tmp_path / name) for name in ("grown", "gone", "fifo"))
    (tmp_path / "grown").write_bytes(b"longer film")
    (tmp_path / "gone").unlink()
    (tmp_path / "fifo").unlink()
    os.mkfifo(tmp_path / "fifo")

    for found in (grown, gone, fifo):
        assert await code_of(found) is FailureCode.SOURCE_CHANGED


async def test_reading_has_a_deadline(tmp_path: Path) -> None:
    """A file that takes too long costs itself alone, and is tried again."""
    code = await code_of(source(tmp_path / "a"), timeout_s=0)

    assert code is FailureCode.PREPARE_TIMEOUT
    assert not code.permanent
