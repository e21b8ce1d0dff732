"""Every fault of a deployment, once and for ever, with whole and with streamed answers."""

import gzip
from pathlib import Path

import orjson
import pytest

from captionfleet.errors import FailureCode, Stage
from tests.support.ready import job, ready_clip
from tests.support.replica import (
    Step,
    answer,
    completion,
    error_body,
    raw,
    scripted,
    sse_lines,
    stream,
    unread,
)
from tests.support.sending import sent

pytestmark = pytest.mark.anyio

C = FailureCode
HALF = orjson.dumps(completion())[:40]
PROMISED = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 999\r\n\r\n"
BAD_GZIP = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
BOMB = gzip.compress(b"[" * 2**26)

RETRIED: dict[str, tuple[Step, FailureCode]] = {
    "429": (answer(429, error_body("rate"), {"Retry-After": "0.01"}), C.OVERLOADED),
    "503": (answer(503, b"<html>busy</html>"), C.OVERLOADED),
    "503 before the body is read": (unread(answer(503)), C.OVERLOADED),
    "500": (answer(500, error_body("oops")), C.SERVER_ERROR),
    "502 from a proxy": (answer(502, b"<html>bad gateway</html>"), C.SERVER_ERROR),
    "504": (answer(504), C.TIMEOUT),
    "408": (answer(408), C.TIMEOUT),
    "520": (answer(520), C.SERVER_ERROR),
    "204": (answer(204), C.MALFORMED_ANSWER),
    "no answer": (raw(b"", end="hang"), C.TIMEOUT),
    "headers and no more": (raw(PROMISED, end="hang"), C.TIMEOUT),
    "reset before the body is read": (unread(raw(b"", end="reset")), C.DISCONNECTED),
    "reset after the request": (raw(b"", end="reset"), C.DISCONNECTED),
    "closed without an answer": (raw(b""), C.DISCONNECTED),
    "reset in the headers": (raw(b"HTTP/1.1 200 O", end="reset"), C.DISCONNECTED),
    "closed in the body": (raw(PROMISED + HALF), C.DISCONNECTED),
    "reset in the body": (raw(PROMISED + HALF, end="reset"), C.DISCONNECTED),
    "closed in a chunked body": (
        stream([HALF], end="reset", content_type="application/json"),
        C.DISCONNECTED,
    ),
    "no HTTP at all": (raw(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"), C.MALFORMED_ANSWER),
    "a header without end": (raw(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 2**17), C.MALFORMED_ANSWER),
    "200 with HTML": (answer(200, b"<html>hello</html>"), C.MALFORMED_ANSWER),
    "200 with nothing": (answer(200, b""), C.MALFORMED_ANSWER),
    "200 with half an answer": (answer(200, HALF), C.MALFORMED_ANSWER),
    "200 with an error": (answer(200, error_body("x")), C.MALFORMED_ANSWER),
    "no gzip": (answer(200, b"\x1f\x8bnonsense", BAD_GZIP), C.DISCONNECTED),
    "an odd content type": (
        answer(200, b"x", {"Content-Type": ";;=\xe9/"}),
        C.MALFORMED_ANSWER,
    ),
    "an empty caption": (answer(200, completion(" ")), C.EMPTY_CAPTION),
    "a broken finish": (
        answer(200, completion(choices=[{"message": {"content": "a"}, "finish_reason": "error"}])),
        C.UNFINISHED_ANSWER,
    ),
    "a stream that ends early": (stream(sse_lines()[:3]), C.TRUNCATED_ANSWER),
    "a stream without finish": (stream(sse_lines(finish=None)[:-1]), C.TRUNCATED_ANSWER),
    "a stream that is reset": (stream(sse_lines()[:3], end="reset"), C.DISCONNECTED),
    "a stream that hangs": (stream(sse_lines()[:3], end="hang"), C.TIMEOUT),
    "an error in the stream": (
        stream([*sse_lines()[:2], b'event: error\ndata: {"error": {"message": "m"}}\n\n']),
        C.STREAM_ERROR,
    ),
    "overload in the stream": (
        stream([*sse_lines()[:2], b'data: {"error": {"status_code": 503}}\n\n']),
        C.OVERLOADED,
    ),
    "garbage in the stream": (stream([b"data: {]\n\n", *sse_lines()]), C.MALFORMED_ANSWER),
}
FINAL: dict[str, tuple[Step, FailureCode]] = {
    "400": (answer(400, error_body("invalid_request_error", "Extra inputs")), C.REJECTED),
    "422": (answer(422), C.REJECTED),
    "405": (answer(405), C.REJECTED),
    "200 with 17 MiB": (answer(200, b" " * 17 * 2**20), C.MALFORMED_ANSWER),
    "a gzip bomb": (answer(200, BOMB, BAD_GZIP), C.MALFORMED_ANSWER),
    "413": (answer(413), C.PAYLOAD_REFUSED),
    "a content filter": (
        answer(
            200,
            completion(choices=[{"message": {"content": ""}, "finish_reason": "content_filter"}]),
        ),
        C.UNFINISHED_ANSWER,
    ),
}


def request(fault: str, *, streaming: bool = False) -> dict[str, object]:
    """Two attempts; where the fault is silence, little time for each."""
    timeout_s = 0.7 if "hang" in fault or fault in {"no answer", "headers and no more"} else 10
    return {"timeout_s": timeout_s, "max_attempts": 2, "stream": streaming}


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("fault", RETRIED)
async def test_fault_that_passes_costs_one_attempt(
    *, fault: str, streaming: bool, tmp_path: Path
) -> None:
    """After a passing fault the clip is captioned once, by its second attempt."""
    step, code = RETRIED[fault]
    async with scripted(step) as replica:
        run = await sent(
            job(replica.base_url, request=request(fault, streaming=streaming)),
            [ready_clip(tmp_path)],
        )
    assert run.caption.text == "A red ball rolls."
    assert [attempt.code for attempt in run.caption.attempts] == [code, None]
    assert run.report[0]["errors"] == {code.value: 1}
    assert run.tally.retries == 1


@pytest.mark.parametrize(
    "fault", [f for f, (_, code) in RETRIED.items() if code is not C.OVERLOADED]
)
async def test_fault_that_stays_ends_with_its_code(fault: str, tmp_path: Path) -> None:
    """A fault that stays, but for overload, makes a failure with its code after max_attempts."""
    step, code = RETRIED[fault]
    async with scripted() as replica:
        replica.default = step
        run = await sent(job(replica.base_url, request=request(fault)), [ready_clip(tmp_path)])
    assert (run.failure.stage, run.failure.code) == (Stage.SENDER, code)
    assert [attempt.code for attempt in run.failure.attempts] == [code, code]
    assert run.failure.detail.isprintable()
    assert not code.permanent


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("fault", FINAL)
async def test_refusal_of_the_clip_is_not_repeated(
    *, fault: str, streaming: bool, tmp_path: Path
) -> None:
    """What is refused because of what it is fails at once, and is asked no second time."""
    step, code = FINAL[fault]
    async with scripted(step) as replica:
        run = await sent(
            job(replica.base_url, request=request(fault, streaming=streaming)),
            [ready_clip(tmp_path)],
        )
        assert len(replica.seen) == 1
    assert run.failure.code is code


ODD_ENDS = {
    "close": [],
    "reset": [],
    "hang": [],
    "garbage": [b"data: {]\n\n"],
    "error": [b'event: error\ndata: {"error": {"code": 500}}\n\n'],
}


@pytest.mark.parametrize("end", ODD_ENDS)
async def test_complete_caption_survives_a_broken_end(end: str, tmp_path: Path) -> None:
    """A streamed caption with its finish_reason counts, whatever happens to the end mark."""
    how = end if end in {"reset", "hang"} else "close"
    async with scripted(stream([*sse_lines()[:-2], *ODD_ENDS[end]], end=how)) as replica:
        plan = job(replica.base_url, request={"stream": True, "timeout_s": 10})
        run = await sent(plan, [ready_clip(tmp_path)])
        assert len(replica.seen) == 1
    assert run.caption.text == "A red ball rolls."


async def test_answer_of_the_other_kind_is_understood(tmp_path: Path) -> None:
    """A whole answer to a streaming request is read, and a stream that nobody asked for."""
    async with scripted(answer(200, completion()), stream(sse_lines())) as replica:
        for streaming in (True, False):
            run = await sent(
                job(replica.base_url, request={"stream": streaming}), [ready_clip(tmp_path)]
            )
            assert run.caption.usage.prompt_tokens == 70
