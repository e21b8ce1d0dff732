"""Captions of any length that is accepted are known to later runs."""

from pathlib import Path

import anyio
import pytest

from captionfleet.config import OutputConfig
from captionfleet.ledger.files.reading import read_lines
from captionfleet.ledger.folder import open_ledger
from captionfleet.ledger.settled import load_settled
from captionfleet.messages import MAX_ANSWER_BYTES
from tests.support.outcomes import make_caption, make_clip

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("letter", ["x", "\ufffd"], ids=["plain", "replaced bytes"])
async def test_the_longest_answer_is_settled_once_and_for_all(letter: str, tmp_path: Path) -> None:
    """An answer of 16 MiB, even if each of its bytes became three, is not paid for again."""
    clips = [make_clip(1), make_clip(2)]
    with anyio.fail_after(60):
        async with open_ledger(OutputConfig(dir=tmp_path), {"omni-a": "f" * 16}) as ledger:
            await ledger.append(make_caption(clips[0], text=letter * MAX_ANSWER_BYTES))
            await ledger.append(make_caption(clips[1]))
        settled = await load_settled(tmp_path)
    assert all(settled.captioned(clip.clip_id) for clip in clips)
    assert settled.ignored_lines == 0
    read = [line.record.get("clip_id") for line in read_lines(tmp_path / "captions.jsonl")]
    assert read == [clip.clip_id for clip in clips]
