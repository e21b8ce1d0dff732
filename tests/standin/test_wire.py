"""Each fault, as a client meets it on a real connection."""

from typing import Any

import anyio
import orjson
import pytest
from aiohttp import ClientConnectionError, ClientPayloadError, ServerDisconnectedError

from captionfleet.standin.faults import parse_fault
from tests.standin import media
from tests.standin.asking import asker, events, message

pytestmark = pytest.mark.anyio

BODY = media.body(b"clip", max_tokens=40)
STREAM = media.body(b"clip", max_tokens=40, stream=True)


def faulty(*texts: str, **options: Any) -> Any:
    """Serve a stand-in with these faults, which does not look at media."""
    faults = tuple(map(parse_fault, texts))
    return asker(faults=faults, watch_media=False, **options)


@pytest.mark.parametrize("status", [400, 408, 429, 500, 502, 503, 504, 520])
async def test_status_fault_answers_that_status(status: int) -> None:
    """A status fault is that status with the service's JSON body, and no Retry-After."""
    async with faulty(str(status)) as to, to.asked(BODY) as response:
        assert response.status == status
        assert "Retry-After" not in response.headers
        assert (await response.json())["error"]["type"] == "error"
    assert to.standin.requests[0].fault == str(status)


async def test_retry_after_is_sent_when_asked_for() -> None:
    """A fault with retry-after carries the header in seconds."""
    async with faulty("429+retry-after=2") as to, to.asked(BODY) as response:
        assert (response.status, response.headers["Retry-After"]) == (429, "2")


async def test_html_fault_answers_a_page() -> None:
    """An edge proxy's 502 is HTML, not JSON."""
    async with faulty("502-html") as to, to.asked(BODY) as response:
        assert (response.status, response.content_type) == (502, "text/html")
        assert "<h1>502</h1>" in await response.text()


async def test_scaling_up_fault_is_the_documented_body() -> None:
    """The scaling-up fault is a 503 with the code that clients wait for."""
    async with faulty("scaling-up+first=1") as to:
        status, answer = await to.ask(BODY)
        later, _ = await to.ask(BODY)
    assert (status, answer["error"]["code"], later) == (503, "DEPLOYMENT_SCALING_UP", 200)


async def test_reset_before_resets_the_connection() -> None:
    """The client gets ECONNRESET and not a byte."""
    body = orjson.dumps(BODY)
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    async with faulty("reset-before") as to:
        async with await anyio.connect_tcp(to.standin.host, to.standin.port) as connection:
            await connection.send(head.encode() + body)
            with pytest.raises(anyio.BrokenResourceError) as caught:
                await connection.receive()
        assert isinstance(caught.value.__cause__, ConnectionResetError)
    assert to.standin.requests[0].status is None


@pytest.mark.parametrize("body", [BODY, STREAM], ids=["whole", "stream"])
async def test_reset_during_breaks_the_body(body: dict[str, Any]) -> None:
    """The answer starts with 200 and a part of its body, then the connection is reset."""
    async with faulty("reset-during") as to, to.asked(body) as response:
        assert response.status == 200
        assert await response.content.readany()
        with pytest.raises((ClientPayloadError, ClientConnectionError)):
            await response.read()


async def test_truncated_body_is_short_of_its_length() -> None:
    """The body ends before its Content-Length does."""
    async with faulty("truncate") as to, to.asked(BODY) as response:
        assert response.status == 200
        with pytest.raises(ClientPayloadError, match="Not enough data"):
            await response.read()


async def test_truncated_stream_ends_without_its_end() -> None:
    """The stream ends cleanly, but has no finish reason and no [DONE]."""
    async with faulty("truncate") as to, to.asked(STREAM) as response:
        text = await response.text()
    assert '"content"' in text
    assert '"finish_reason":"' not in text
    assert "[DONE]" not in text


async def test_hang_answers_nothing() -> None:
    """The request is taken and never answered; a client that gives up leaves nothing behind."""
    async with faulty("hang") as to:
        async with anyio.create_task_group() as client:
            client.start_soon(to.ask, BODY)
            await to.standin.ledger.until(lambda ledger: ledger.in_flight == 1)
            with anyio.move_on_after(0.2) as patience:
                await to.standin.ledger.until(lambda ledger: ledger.in_flight == 0)
            assert patience.cancelled_caught
            client.cancel_scope.cancel()
        await to.standin.ledger.until(lambda ledger: ledger.in_flight == 0)
    assert [record.client_left for record in to.standin.requests] == [True]


async def test_hang_can_end() -> None:
    """A hang with seconds is cut off after them."""
    async with faulty("hang+seconds=0.05") as to:
        with pytest.raises((ServerDisconnectedError, ClientConnectionError)):
            await to.ask(BODY)


@pytest.mark.parametrize("body", [BODY, STREAM], ids=["whole", "stream"])
async def test_garbage_is_a_200_without_json(body: dict[str, Any]) -> None:
    """The status is fine and what comes with it cannot be parsed."""
    async with faulty("garbage") as to, to.asked(body) as response:
        assert response.status == 200
        raw = (await response.read()).split(b"\n\n")
    with pytest.raises(orjson.JSONDecodeError):
        [orjson.loads(event.removeprefix(b"data: ")) for event in raw if event]


@pytest.mark.parametrize("stream", [False, True])
async def test_empty_is_a_caption_without_characters(stream: bool) -> None:  # noqa: FBT001 -- a parameter
    """The answer is whole and right in form; only the caption is missing."""
    async with faulty("empty") as to, to.asked(STREAM if stream else BODY) as response:
        raw = await response.read()
    if stream:
        deltas = [chunk["choices"][0]["delta"] for chunk in events(raw)]
        assert not any("content" in delta for delta in deltas)
    else:
        assert message(orjson.loads(raw)) == ""
        assert orjson.loads(raw)["usage"]["completion_tokens"] == 0


async def test_stream_error_comes_inside_a_200() -> None:
    """The stream breaks off with an error event, and without [DONE]."""
    async with faulty("stream-error") as to:
        async with to.asked(STREAM) as response:
            assert response.status == 200
            *_, last, end = (await response.text()).split("\n\n")
        status, answer = await to.ask(BODY)
    assert (last.splitlines()[0], end) == ("event: error", "")
    assert orjson.loads(last.splitlines()[1].removeprefix("data: "))["error"]["code"] == "INTERNAL"
    assert (status, answer["error"]["code"]) == (200, "INTERNAL")


async def test_slow_answers_late_and_right() -> None:
    """The fault's seconds come on top of the service time."""
    async with faulty("slow+seconds=0.2") as to:
        status, _ = await to.ask(BODY)
    (record,) = to.standin.requests
    assert status == 200
    assert (record.ended_s or 0) - record.started_s >= 0.2


async def test_faults_hit_by_rate_and_the_connection_lives_on() -> None:
    """Status faults come at their rate, over one kept connection."""
    async with faulty("429:0.5", seed=3) as to:
        statuses = [(await to.ask(BODY))[0] for _ in range(40)]
    assert set(statuses) == {200, 429}
    assert 10 <= statuses.count(429) <= 30
