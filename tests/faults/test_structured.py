"""Captions as JSON: what fits is kept as data, what does not is asked for once more."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from captionfleet.errors import FailureCode
from tests.support.ready import job, ready_clip
from tests.support.replica import Step, answer, completion, scripted
from tests.support.sending import sent

pytestmark = pytest.mark.anyio

SCHEMA = {
    "type": "object",
    "properties": {"caption": {"type": "string"}, "people": {"type": "integer"}},
    "required": ["caption", "people"],
}
GOOD = {"caption": "A dog runs.", "people": 0}
BROKEN = FailureCode.INVALID_STRUCTURE


def said(value: object, finish_reason: str = "stop") -> Step:
    """An answer with this text, or with this value as JSON."""
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    choice = {"message": {"content": text}, "finish_reason": finish_reason}
    return answer(200, completion(choices=[choice]))


def structured(*base_urls: str, **request: Any) -> Any:
    """A job that asks for JSON."""
    return job(*base_urls, request={"response_schema": SCHEMA, "max_attempts": 5, **request})


async def test_the_schema_is_sent_and_the_answer_kept_as_data(tmp_path: Path) -> None:
    """The request holds the schema as it stands; the caption is text and data."""
    async with scripted(said(GOOD)) as replica:
        run = await sent(structured(replica.base_url), [ready_clip(tmp_path)])
    assert replica.seen[0].json["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "caption", "schema": SCHEMA},
    }
    assert run.caption.data == GOOD
    assert orjson.loads(run.caption.text) == GOOD


MISFITS: dict[str, Any] = {
    "prose": "A dog runs.",
    "half": '{"caption": "A do',
    "fenced": f"```json\n{orjson.dumps(GOOD).decode()}\n```",
    "no such type": GOOD | {"people": "none"},
    "missing": {"caption": "A dog runs."},
    "more than was asked for": GOOD | {"mood": "happy"},
    "NaN": '{"caption": "x", "people": NaN}',
    "half a surrogate pair": '{"caption": "\\ud800", "people": 0}',
    "bottomless": "[" * 900 + "]" * 900,
    "too many parts": orjson.dumps([0] * 20_000).decode(),
    "too large": orjson.dumps(GOOD | {"caption": "x" * 300_000}).decode(),
}


@pytest.mark.parametrize("misfit", MISFITS.values(), ids=MISFITS)
async def test_a_misfit_is_asked_for_once_more(tmp_path: Path, misfit: object) -> None:
    """The second answer counts; the first stays an attempt with its code."""
    async with scripted(said(misfit), said(GOOD)) as replica:
        run = await sent(structured(replica.base_url), [ready_clip(tmp_path)])
    assert run.caption.data == GOOD
    assert [attempt.code for attempt in run.caption.attempts] == [BROKEN, None]


async def test_a_second_misfit_fails_the_clip(tmp_path: Path) -> None:
    """Two misfits are the end, however many attempts are left, and the place is told."""
    misfit = said(GOOD | {"people": "none"})
    async with scripted(misfit, misfit, said(GOOD)) as replica:
        run = await sent(structured(replica.base_url), [ready_clip(tmp_path)])
    assert run.failure.code is BROKEN
    assert run.failure.detail == "people does not fit type of the schema"
    assert len(run.failure.attempts) == 2
    assert run.report[0]["ejections"] == 0


async def test_what_max_tokens_cut_off_is_not_paid_for_twice(tmp_path: Path) -> None:
    """JSON that was cut off fails at once with its own code; whole JSON is a caption even so."""
    cut = said('{"caption": "A do', "length")
    async with scripted(cut, said(GOOD, "length")) as replica:
        clips = [ready_clip(tmp_path, "a"), ready_clip(tmp_path, "b")]
        first = await sent(structured(replica.base_url), clips[:1])
        second = await sent(structured(replica.base_url), clips[1:])
    assert first.failure.code is FailureCode.STRUCTURE_CUT_OFF
    assert "max_tokens ended the JSON after 3 tokens" in first.failure.detail
    assert len(first.failure.attempts) == 1
    assert (second.caption.data, second.caption.flags) == (GOOD, ("truncated",))


async def test_without_a_schema_any_text_is_a_caption(tmp_path: Path) -> None:
    """Nothing is asked for and nothing is read where the job has no schema."""
    async with scripted(said(GOOD)) as replica:
        run = await sent(job(replica.base_url), [ready_clip(tmp_path)])
    assert "response_format" not in replica.seen[0].json
    assert run.caption.data is None
