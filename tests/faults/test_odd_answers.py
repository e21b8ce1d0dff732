"""Answers of real servers that differ from the documented ones, over a socket."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from captionfleet.errors import FailureCode
from captionfleet.telemetry import Tally
from tests.support.ready import job, ready_clip
from tests.support.replica import USAGE, Step, answer, completion, raw, scripted, sse_lines, stream
from tests.support.sending import sent

pytestmark = pytest.mark.anyio

PAID = USAGE["prompt_tokens"], USAGE["completion_tokens"]


def chosen(finish_reason: object = "stop", **message: Any) -> Step:
    """A whole answer with this finish reason and message."""
    choice = {"index": 0, "message": message, "finish_reason": finish_reason}
    return answer(200, completion(choices=[choice]))


async def test_a_stream_left_open_after_its_end_mark_is_over(tmp_path: Path) -> None:
    """What a server does after [DONE] holds no clip up."""
    async with scripted(stream(sse_lines(), end="hang")) as replica:
        plan = job(replica.base_url, request={"stream": True})
        run = await sent(plan, [ready_clip(tmp_path)])
    assert run.caption.usage.prompt_tokens == PAID[0]
    assert len(run.caption.attempts) == 1


async def test_a_whole_answer_survives_broken_framing(tmp_path: Path) -> None:
    """JSON that is complete, with its finish reason, is kept where the connection then breaks."""
    body = orjson.dumps(completion())
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
    length = b"Content-Length: %d\r\n\r\n" % (len(body) + 10)
    async with scripted(raw(head + length + body)) as replica:
        run = await sent(job(replica.base_url), [ready_clip(tmp_path)])
    assert len(run.caption.attempts) == 1


async def test_text_with_an_unknown_end_is_flagged_and_paid_once(tmp_path: Path) -> None:
    """Neither a reason that is not known nor a missing one throws a caption away."""
    for reason in ("ran dry", None):
        async with scripted(chosen(reason, content="A ball.")) as replica:
            run = await sent(job(replica.base_url), [ready_clip(tmp_path)])
            assert len(replica.seen) == 1
        assert run.caption.flags == ("unknown_finish",)


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (chosen("length", content=None, reasoning_content="hm"), "raise max_tokens"),
        (chosen("stop", content=None, reasoning="hm"), "turn thinking off"),
    ],
    ids=["thinking", "reasoning alone"],
)
async def test_what_would_end_the_same_is_paid_once(step: Step, words: str, tmp_path: Path) -> None:
    """The clip fails at once, with words that say what to do, and its tokens are counted."""
    async with scripted(step) as replica:
        run = await sent(job(replica.base_url), [ready_clip(tmp_path)])
        assert len(replica.seen) == 1
    assert words in run.failure.detail
    assert (run.tally.prompt_tokens, run.tally.completion_tokens) == PAID


async def test_every_paid_answer_is_counted(tmp_path: Path) -> None:
    """Tokens of answers that were asked for again are in the totals."""
    tally = Tally()
    async with scripted(chosen("error", content="A"), chosen("stop", content="")) as replica:
        run = await sent(job(replica.base_url), [ready_clip(tmp_path)], tally=tally)
    assert len(run.caption.attempts) == 3
    assert (tally.prompt_tokens, tally.completion_tokens) == (3 * PAID[0], 3 * PAID[1])
    assert tally.cached_tokens == 21


async def test_the_servers_words_reach_the_user(tmp_path: Path) -> None:
    """FastAPI's detail, with its place, and a line of plain text."""
    detail = {"detail": [{"loc": ["body", "model"], "msg": "field required"}]}
    plain = answer(422, b"no such field\n", {"Content-Type": "text/plain"})
    async with scripted(answer(422, detail), plain) as replica:
        clips = [ready_clip(tmp_path, name) for name in "ab"]
        first = await sent(job(replica.base_url), clips[:1])
        second = await sent(job(replica.base_url), clips[1:])
    assert first.failure.detail == "HTTP 422: body.model: field required"
    assert second.failure.detail == "HTTP 422: no such field"
    assert first.failure.code is FailureCode.REJECTED
