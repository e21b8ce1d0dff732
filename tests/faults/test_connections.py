"""Connections on which more comes than was asked for: no answer reaches another clip."""

import socket
import struct
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import anyio
import pytest
from anyio.abc import SocketAttribute

from captionfleet.errors import FailureCode
from captionfleet.messages import Caption
from tests.support.raw_server import (
    Mode,
    RawRequest,
    completion,
    message,
    naming,
    raw_server,
    raw_server_aside,
)
from tests.support.ready import job, ready_clip
from tests.support.sending import QUICK, Sent, sent

pytestmark = pytest.mark.anyio

CLIPS = 60
EVERY = 4  # the request whose answer is followed by a stray one


def _headers(request: RawRequest, *, is_named: bool) -> Mapping[str, str]:
    return naming(request) if is_named else {}


def repeated(*, is_named: bool, when: str) -> Mode:
    """Each answer of every fourth request is sent twice on its connection."""

    async def mode(request: RawRequest) -> None:
        stray = request.memory.pop("stray", b"")
        if when == "at the next request":  # which is where it does the most harm
            await request.send(stray)
        answer = message(
            completion(await request.video_sha256()), headers=_headers(request, is_named=is_named)
        )
        is_repeated = request.number % EVERY == 0
        if is_repeated and when == "at once":
            await request.send(answer + answer)
            return
        await request.send(answer)
        if is_repeated and when == "while idle":
            await anyio.sleep(0.01)
            await request.send(answer)
        elif is_repeated and when == "in two parts":
            await request.send(answer[:20])
            await anyio.sleep(0.01)
            await request.send(answer[20:])
        elif is_repeated:
            request.memory["stray"] = answer

    return mode


def refused_unread(*, is_named: bool) -> Mode:
    """Every fourth request is refused before its body is read, which is then taken for another."""

    async def mode(request: RawRequest) -> None:
        headers = _headers(request, is_named=is_named)
        if request.number % EVERY:
            await request.send(message(completion(await request.video_sha256()), headers=headers))
            return
        await request.send(message(b'{"error": {"message": "slow down"}}', 429, headers=headers))
        await request.received.receive_exactly(int(request.headers["content-length"]))
        await anyio.sleep(0.01)
        await request.send(message(b"<html>Bad request syntax</html>", 400, "text/html"))

    return mode


def _check_each_caption_names_its_clip(run: Sent, clips: int = CLIPS) -> None:
    assert len(run.outcomes) == clips
    for outcome in run.outcomes:
        assert isinstance(outcome, Caption), outcome
        assert outcome.text == f"caption of {outcome.facts.video_sha256}"


@pytest.mark.parametrize("is_named", [False, True], ids=["unnamed", "named"])
@pytest.mark.parametrize("when", ["at once", "while idle", "in two parts", "at the next request"])
async def test_a_repeated_answer_reaches_no_other_clip(
    when: str,
    is_named: bool,  # noqa: FBT001 - a parameter
    tmp_path: Path,
) -> None:
    """Whether or not answers name their requests, and whenever the second copy comes."""
    clips = [ready_clip(tmp_path, f"c{n}", video_bytes=300) for n in range(CLIPS)]
    async with raw_server(repeated(is_named=is_named, when=when)) as server:
        run = await sent(job(server.base_url, max_in_flight=8, adaptive=False), clips)
    _check_each_caption_names_its_clip(run)
    assert run.report[0]["ejections"] == 0


@pytest.mark.parametrize("is_named", [False, True], ids=["unnamed", "named"])
async def test_a_body_taken_for_a_request_fails_no_other_clip(
    is_named: bool,  # noqa: FBT001 - a parameter
    tmp_path: Path,
) -> None:
    """A refusal of bytes that were no request is given to none."""
    clips = [ready_clip(tmp_path, f"c{n}", video_bytes=300) for n in range(CLIPS)]
    async with raw_server(refused_unread(is_named=is_named)) as server:
        plan = job(
            server.base_url, max_in_flight=8, adaptive=False, request={"max_attempts": CLIPS}
        )
        run = await sent(plan, clips)
    _check_each_caption_names_its_clip(run)
    codes = {attempt.code for outcome in run.outcomes for attempt in outcome.attempts}
    assert codes <= {None, FailureCode.OVERLOADED, FailureCode.DISCONNECTED}


async def test_an_answer_that_a_gateway_mixes_up_reaches_no_other_clip(tmp_path: Path) -> None:
    """On a connection of its own, too, a request takes no answer that names another request."""
    held: list[tuple[RawRequest, str]] = []

    async def mode(request: RawRequest) -> bool:
        held.append((request, await request.video_sha256()))
        if request.number == 1:
            await swapped.wait()
        elif request.number == 2:
            (one, one_sha256), (two, two_sha256) = held[:2]
            await one.send(message(completion(two_sha256), headers=naming(two)))
            await two.send(message(completion(one_sha256), headers=naming(one)))
            swapped.set()
        else:
            await request.send(message(completion(held[-1][1]), headers=naming(request)))
        return False

    swapped = anyio.Event()
    clips = [ready_clip(tmp_path, name) for name in "ab"]
    async with raw_server(mode) as server:
        run = await sent(job(server.base_url, request={"max_attempts": 1}), clips)
    _check_each_caption_names_its_clip(run, clips=2)


async def test_a_connection_whose_answers_name_no_request_takes_one(tmp_path: Path) -> None:
    """Nothing could tell a stray answer there from the right one."""

    async def mode(request: RawRequest) -> None:
        await request.send(message(completion(await request.video_sha256())))

    clips = [ready_clip(tmp_path, f"c{n}") for n in range(6)]
    async with raw_server(mode) as server:
        run = await sent(job(server.base_url, max_in_flight=1, adaptive=False), clips)
        assert server.connections == server.posts == 6
    _check_each_caption_names_its_clip(run, clips=6)


async def test_the_farewell_of_an_idle_connection_is_no_answer(tmp_path: Path) -> None:
    """A 408 by which proxies end what stands idle is given to no request."""

    async def mode(request: RawRequest) -> None:
        await request.send(
            message(completion(await request.video_sha256()), headers=naming(request))
        )
        await anyio.sleep(0.01)
        await request.send(message(b"", 408, headers={"Connection": "close"}))

    clips = [ready_clip(tmp_path, f"c{n}") for n in range(20)]
    async with raw_server(mode) as server:
        plan = job(server.base_url, max_in_flight=4, adaptive=False, request={"max_attempts": 1})
        run = await sent(plan, clips)
    _check_each_caption_names_its_clip(run, clips=20)


@pytest.mark.parametrize("status", ["100 Continue", "102 Processing", "103 Early Hints"])
async def test_informational_answers_are_no_answers(status: str, tmp_path: Path) -> None:
    """They precede the answer, and the connection stays good."""

    async def mode(request: RawRequest) -> None:
        sha256 = await request.video_sha256()
        await request.send(f"HTTP/1.1 {status}\r\n\r\n".encode())
        await request.send(message(completion(sha256), headers=naming(request)))

    clips = [ready_clip(tmp_path, f"c{n}") for n in range(5)]
    async with raw_server(mode) as server:
        run = await sent(job(server.base_url, max_in_flight=1, adaptive=False), clips)
        assert server.connections == 1
    _check_each_caption_names_its_clip(run, clips=5)


async def test_an_answer_to_half_a_request_is_no_caption(tmp_path: Path) -> None:
    """A caption that comes before the video was out describes something else."""

    async def mode(request: RawRequest) -> bool | None:
        if request.number == 1:
            await request.send(message(completion("0" * 64), headers=naming(request)))
            await anyio.sleep_forever()
        await request.send(message(completion(await request.video_sha256())))
        return False

    clip = ready_clip(tmp_path, video_bytes=30_000_000)  # no socket holds it
    async with raw_server(mode) as server:
        run = await sent(job(server.base_url), [clip])
    _check_each_caption_names_its_clip(run, clips=1)
    assert run.caption.attempts[0].code is FailureCode.MALFORMED_ANSWER


async def test_a_replica_behind_a_balancer_of_connections_gets_work(
    tmp_path: Path,
) -> None:
    """A busy connection is renewed after a while, and the balancer may place it elsewhere."""

    async def mode(request: RawRequest) -> None:
        sha256 = await request.video_sha256()
        await anyio.sleep(0.05)
        await request.send(message(completion(sha256), headers=naming(request)))

    clips = [ready_clip(tmp_path, f"c{n}") for n in range(16)]
    async with raw_server(mode) as server:
        plan = job(server.base_url, max_in_flight=1, adaptive=False)
        run = await sent(plan, clips, tuning=replace(QUICK, max_age_s=0.2))
        assert 2 <= server.connections < server.posts
    _check_each_caption_names_its_clip(run, clips=16)


@pytest.mark.parametrize("is_reset", [False, True], ids=["close", "reset"])
async def test_a_refusal_by_size_is_read_although_the_upload_breaks(
    is_reset: bool,  # noqa: FBT001 - a parameter
    tmp_path: Path,
) -> None:
    """A server that says 413 and hangs up is asked once for each clip."""

    async def mode(request: RawRequest) -> bool:
        page = b"<html><title>413 Request Entity Too Large</title></html>"
        await request.send(message(page, 413, "text/html", {"Connection": "close"}))
        if is_reset:
            raw = request.stream.extra(SocketAttribute.raw_socket)  # noqa: S610 - not Django's
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return False

    clips = [ready_clip(tmp_path, f"c{n}", video_bytes=1_000_000) for n in range(8)]
    with raw_server_aside(mode) as server:
        run = await sent(job(server.base_url, max_in_flight=8), clips)
        assert server.posts == len(clips)
    assert {outcome.code for outcome in run.outcomes} == {FailureCode.PAYLOAD_REFUSED}


@pytest.mark.parametrize(
    "headers",
    [{"X-Trace": "a" * 60_000}, {f"X-H{n}": "v" * 30 for n in range(500)}],
    ids=["one of 60 kB", "500"],
)
async def test_large_headers_are_taken(headers: Mapping[str, str], tmp_path: Path) -> None:
    """Tracing and session headers of proxies cost no caption."""

    async def mode(request: RawRequest) -> None:
        await request.send(message(completion(await request.video_sha256()), headers=headers))

    async with raw_server(mode) as server:
        run = await sent(job(server.base_url), [ready_clip(tmp_path)])
    assert len(run.caption.attempts) == 1


@pytest.mark.parametrize("piece", [b"X-Trace: a\r\n", b"a", b"HTTP/1.1 103 Early Hints\r\n\r\n"])
async def test_endless_headers_are_named(piece: bytes, tmp_path: Path) -> None:
    """The failure says what is wrong, and memory stays bounded."""

    async def mode(request: RawRequest) -> None:
        await request.video_sha256()
        if not piece.startswith(b"HTTP"):
            await request.send(b"HTTP/1.1 200 OK\r\nX: ")
        while True:
            await request.send(piece * 1000)

    async with raw_server(mode) as server:
        plan = job(server.base_url, request={"max_attempts": 1, "timeout_s": 20})
        run = await sent(plan, [ready_clip(tmp_path)])
    assert run.failure.code is FailureCode.MALFORMED_ANSWER
    assert "headers are larger than 64 KiB" in run.failure.detail
