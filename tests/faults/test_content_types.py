"""Answers whose Content-Type says something else than their bytes."""

from pathlib import Path

import orjson
import pytest

from tests.support.ready import job, ready_clip
from tests.support.replica import USAGE, answer, completion, scripted, sse_lines, stream
from tests.support.sending import sent

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("content_type", ["text/plain", "application/json", "text/html", "x"])
@pytest.mark.parametrize("beginning", [b"", b": ping\n\n", b"\xef\xbb\xbf", b"\r\n", b"event: a\n"])
async def test_a_stream_is_read_under_any_content_type(
    content_type: str, beginning: bytes, tmp_path: Path
) -> None:
    """Its bytes tell that it is one, in whatever portions they come."""
    lines = [beginning, *sse_lines()] if beginning else sse_lines()
    portions = [bytes([byte]) for byte in b"".join(lines)[:12]] + [b"".join(lines)[12:]]
    async with scripted(stream(portions, content_type=content_type)) as replica:
        run = await sent(job(replica.base_url, request={"stream": True}), [ready_clip(tmp_path)])
    assert run.caption.text == "A red ball rolls."
    assert run.caption.usage.prompt_tokens == USAGE["prompt_tokens"]
    assert len(run.caption.attempts) == 1


@pytest.mark.parametrize("beginning", [b"", b"\n \n", b"\xef\xbb\xbf"])
async def test_a_whole_answer_is_read_although_it_is_called_a_stream(
    beginning: bytes, tmp_path: Path
) -> None:
    """A server that cannot stream answers whole, under the Content-Type that was asked for."""
    body = beginning + orjson.dumps(completion())
    step = answer(200, body, {"Content-Type": "text/event-stream"})
    async with scripted(step) as replica:
        run = await sent(job(replica.base_url, request={"stream": True}), [ready_clip(tmp_path)])
    assert run.caption.text == "A red ball rolls."
    assert len(run.caption.attempts) == 1
