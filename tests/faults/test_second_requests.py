"""Answers that are no good caption: refused, cut off, or all thought."""

from pathlib import Path

import orjson
import pytest

from captionfleet.errors import FailureCode
from captionfleet.ledger.format.serialising import caption_line
from tests.support.ready import job, ready_clip
from tests.support.replica import Step, answer, completion, scripted
from tests.support.sending import sent

pytestmark = pytest.mark.anyio


def said(reason: str = "stop", **message: object) -> Step:
    """An answer with this message."""
    body = completion(choices=[{"message": message, "finish_reason": reason}])
    return answer(200, orjson.dumps(body))


REFUSED = said(content="I'm sorry, but I can't assist with that.")
DECLINED = said(content=None, refusal="I can't.")
CUT = said("length", content="A dog runs along a")
THOUGHT = said("length", content=None, reasoning="hm")
SANE = said(content="A dog runs along a beach.")


@pytest.mark.parametrize("step", [REFUSED, DECLINED], ids=["in words", "in its field"])
async def test_a_refusal_is_kept_and_flagged(step: Step, tmp_path: Path) -> None:
    """It is paid once, and no later run pays for it again."""
    async with scripted(step) as replica:
        run = await sent(job(replica.base_url), [ready_clip(tmp_path)])
        assert len(replica.seen) == 1
    assert run.caption.flags == ("refused",)


async def test_a_refusal_may_be_asked_again(tmp_path: Path) -> None:
    """The second answer counts; where that is none, the first is there."""
    for second, flags in ((SANE, ()), (REFUSED, ("refused",)), (answer(400), ("refused",))):
        async with scripted(REFUSED, second) as replica:
            plan = job(replica.base_url, request={"on_refusal": "retry"})
            run = await sent(plan, [ready_clip(tmp_path)])
        assert (run.caption.flags, len(run.caption.attempts)) == (flags, 2)


@pytest.mark.parametrize("step", [REFUSED, DECLINED], ids=["in words", "in its field"])
async def test_a_refusal_may_fail_the_clip(step: Step, tmp_path: Path) -> None:
    """The model's own words are the detail."""
    async with scripted(step) as replica:
        plan = job(replica.base_url, request={"on_refusal": "fail"})
        run = await sent(plan, [ready_clip(tmp_path)])
        assert len(replica.seen) == 1
    assert run.failure.code is FailureCode.UNFINISHED_ANSWER
    assert "can't" in run.failure.detail


@pytest.mark.parametrize("step", [CUT, THOUGHT], ids=["in the caption", "while thinking"])
async def test_what_max_tokens_cut_off_may_be_asked_again_with_more(
    step: Step, tmp_path: Path
) -> None:
    """The second request has the larger number, and only that one."""
    async with scripted(step, SANE, SANE) as replica:
        plan = job(replica.base_url, request={"max_tokens": 50, "retry_truncated_tokens": 400})
        run = await sent(plan, [ready_clip(tmp_path)])
        asked = [seen.json["max_tokens"] for seen in replica.seen if seen.method == "POST"]
    assert asked == [50, 400]
    assert (run.caption.text, run.caption.flags) == ("A dog runs along a beach.", ())


async def test_a_cut_caption_is_kept_where_there_is_no_better(tmp_path: Path) -> None:
    """What was paid for stays where the second request fails."""
    async with scripted(CUT, answer(400)) as replica:
        plan = job(replica.base_url, request={"max_tokens": 50, "retry_truncated_tokens": 400})
        run = await sent(plan, [ready_clip(tmp_path)])
    assert run.caption.flags == ("truncated",)


STUCK = said(content="the waves roll in " * 30)


@pytest.mark.parametrize("second", [REFUSED, DECLINED, STUCK], ids=["refused", "declined", "stuck"])
async def test_a_worse_answer_replaces_none(second: Step, tmp_path: Path) -> None:
    """A caption that is cut off stays where the second is a refusal or repeats one phrase."""
    async with scripted(CUT, second) as replica:
        plan = job(replica.base_url, request={"max_tokens": 50, "retry_truncated_tokens": 400})
        run = await sent(plan, [ready_clip(tmp_path)])
    assert (run.caption.text, run.caption.flags) == ("A dog runs along a", ("truncated",))
    assert len(run.caption.attempts) == 2


async def test_reasoning_stands_in_the_line_and_not_in_the_caption(tmp_path: Path) -> None:
    """From the server's own field, or from the text."""
    for step in (
        said(content="A ball.", reasoning_content="round"),
        said(content="<think>round</think>A ball."),
    ):
        async with scripted(step) as replica:
            run = await sent(job(replica.base_url), [ready_clip(tmp_path)])
        line = orjson.loads(caption_line(run.caption, "2026-11-22T06:00:00.000Z"))
        assert (line["caption"], line["reasoning"]) == ("A ball.", "round")
