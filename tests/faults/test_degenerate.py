"""A caption that loses the thread is asked for once more, and then flagged."""

from pathlib import Path

import orjson
import pytest

from tests.support.ready import job, ready_clip
from tests.support.replica import Step, answer, completion, scripted
from tests.support.sending import sent

pytestmark = pytest.mark.anyio

STUCK = answer(200, orjson.dumps(completion("the waves roll in " * 30)))
SANE = answer(200, orjson.dumps(completion("A dog runs along a beach.")))
BROKEN = answer(400)


async def test_a_degenerate_caption_is_replaced_by_a_sane_one(tmp_path: Path) -> None:
    """The second answer counts, and is not flagged."""
    async with scripted(STUCK, SANE) as replica:
        run = await sent(job(replica.base_url), [ready_clip(tmp_path)])
    assert run.caption.text == "A dog runs along a beach."
    assert run.caption.flags == ()
    assert len(run.caption.attempts) == 2


@pytest.mark.parametrize("second", [STUCK, BROKEN], ids=["degenerate-again", "refused"])
async def test_a_degenerate_caption_is_kept_where_there_is_no_better(
    tmp_path: Path, second: Step
) -> None:
    """Asked once more and no better off, the clip has its flagged caption, and one line."""
    async with scripted(STUCK, second, SANE) as replica:
        run = await sent(job(replica.base_url), [ready_clip(tmp_path)])
    assert run.caption.flags == ("degenerate",)
    assert len(run.caption.attempts) == 2
