"""Streams that say stop before their end, and streams that never end."""

from dataclasses import replace
from pathlib import Path

import anyio
import orjson
import pytest

from tests.support.raw_server import Mode, RawRequest, raw_server
from tests.support.ready import job, ready_clip
from tests.support.sending import QUICK, Sent, sent

pytestmark = pytest.mark.anyio

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
DONE = b"data: [DONE]\n\n"
# Longer than the client reads at once, so that what is before and after comes in two portions.
COMMENTS = (b":" + b" " * 98 + b"\n") * 10_000


def event(text: str, finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish_reason}
    return b"data: " + orjson.dumps({"choices": [choice]}) + b"\n\n"


def paused(*portions: bytes, pause_s: float) -> Mode:
    """Send the portions, and wait before each but the first; a client that leaves ends a wait."""

    async def mode(request: RawRequest) -> bool:
        await request.video_sha256()
        await request.send(HEAD + portions[0])
        for portion in portions[1:]:
            with anyio.move_on_after(pause_s):
                await request.received.receive(1)
            await request.send(portion)
        return False

    return mode


async def streamed(mode: Mode, folder: Path, *, stream_end_s: float) -> Sent:
    """What a sender makes of a stream that it ends after `stream_end_s` of silence."""
    tuning = replace(QUICK, stream_end_s=stream_end_s)
    async with raw_server(mode) as server:
        plan = job(server.base_url, request={"stream": True})
        return await sent(plan, [ready_clip(folder)], tuning=tuning)


@pytest.mark.parametrize(
    "portions",
    [
        (event("A", "stop"), event(" red", "stop"), event(" ball.", "stop") + DONE),
        (event("A", "stop") + event("", "stop"), event(" red", "stop"), event(" ball.", "stop")),
        (event("", "stop"), event("A", "stop") + event("", "stop"), event(" red ball.", "stop")),
    ],
    ids=["with text", "an empty one in between", "an empty one first"],
)
async def test_a_server_that_always_says_stop_may_pause(
    portions: tuple[bytes, ...], tmp_path: Path
) -> None:
    """Where the first words already say stop, only the stream's own end is one."""
    mode = paused(*portions, pause_s=0.3)
    run = await streamed(mode, tmp_path, stream_end_s=0.05)
    assert run.caption.text == "A red ball."
    assert len(run.caption.attempts) == 1


async def test_text_after_a_finish_reason_takes_it_back(tmp_path: Path) -> None:
    """A pause after it is no end of the stream, however long."""
    start = event("A") + event("", "stop") + COMMENTS + event(" red")
    mode = paused(start, event(" ball.", "stop") + DONE, pause_s=0.8)
    run = await streamed(mode, tmp_path, stream_end_s=0.5)
    assert run.caption.text == "A red ball."
    assert len(run.caption.attempts) == 1


async def test_a_stream_left_open_after_its_finish_reason_is_over(tmp_path: Path) -> None:
    """A server that sends no end mark and closes nothing holds no clip up."""
    mode = paused(event("A red") + event(" ball.") + event("", "stop"), DONE, pause_s=60)
    with anyio.fail_after(30):
        run = await streamed(mode, tmp_path, stream_end_s=0.05)
    assert run.caption.text == "A red ball."
