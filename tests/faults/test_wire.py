"""What goes over the wire, to whom, and what a broken or hostile peer can do to it."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import aiohttp
import anyio
import pytest
from aiohttp import web

from captionfleet.errors import FailureCode
from captionfleet.messages import Failure, ReadyClip
from captionfleet.sender import upload
from captionfleet.sender.transport import _CODES, verdict_on
from tests.support.ready import job, ready_clip
from tests.support.replica import (
    answer,
    caption,
    completion,
    gated,
    raw,
    scripted,
    sse_lines,
    stream,
    unread,
)
from tests.support.sending import QUICK, sent

pytestmark = pytest.mark.anyio

BLOCK = 3 * 2**16


@pytest.mark.parametrize(
    ("video_bytes", "audio_bytes"),
    [(1, 1), (2, None), (3, 2), (BLOCK - 1, 3), (BLOCK, BLOCK + 1), (BLOCK + 1, 4), (5 * BLOCK, 0)],
)
async def test_server_receives_what_the_facts_name(
    video_bytes: int, audio_bytes: int | None, tmp_path: Path
) -> None:
    """The media that arrive hash to the facts' SHA-256, at every size around the block's."""
    clip = ready_clip(tmp_path, video_bytes=video_bytes, audio_bytes=audio_bytes)
    async with scripted() as replica:
        await sent(job(replica.base_url), [clip])
    (seen,) = replica.seen
    assert seen.sha256("video_url") == clip.facts.video_sha256
    assert seen.sha256("audio_url") == clip.facts.audio_sha256
    assert seen.headers["content-length"] == str(len(seen.body))
    assert "transfer-encoding" not in seen.headers
    assert seen.headers["content-type"] == "application/json"


async def test_files_that_cannot_be_read_at_once_are_read_in_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the system cannot say what is in memory, the media arrive all the same."""
    monkeypatch.setattr(upload, "_NOWAIT", None)
    clip = _hashed_before(ready_clip(tmp_path, video_bytes=2 * BLOCK + 1))
    async with scripted() as replica:
        await sent(job(replica.base_url), [clip])
    assert replica.seen[0].sha256("video_url") == clip.facts.video_sha256


async def test_files_with_another_time_are_hashed(tmp_path: Path) -> None:
    """Media whose modification time alone differs from what is known are sent."""
    clip = _hashed_before(ready_clip(tmp_path))
    clip.video.touch()
    async with scripted() as replica:
        run = await sent(job(replica.base_url), [clip])
    assert replica.seen[0].sha256("video_url") == run.caption.facts.video_sha256


async def test_deaf_model_gets_no_audio(tmp_path: Path) -> None:
    """A deployment without the audio modality gets video and text only."""
    async with scripted() as replica:
        await sent(job(replica.base_url, modalities=["video"]), [ready_clip(tmp_path)])
    kinds = [part["type"] for part in replica.seen[0].json["messages"][0]["content"]]
    assert kinds == ["video_url", "text"]


def _grown(clip: ReadyClip) -> None:
    clip.video.write_bytes(b"x" + clip.video.read_bytes())


def _cut(clip: ReadyClip) -> None:
    os.truncate(clip.video, 1000)


def _swapped(clip: ReadyClip) -> None:
    assert clip.audio is not None
    clip.audio.write_bytes(bytes(clip.facts.audio_bytes))


def _gone(clip: ReadyClip) -> None:
    clip.video.unlink()


def _hashed_before(clip: ReadyClip) -> ReadyClip:
    """The clip with files of a time that is known, well before now."""
    assert clip.audio is not None
    for path in (clip.video, clip.audio):
        os.utime(path, ns=(10**18, 10**18))
    return replace(clip, video_mtime_ns=10**18, audio_mtime_ns=10**18)


@pytest.mark.parametrize("is_time_known", [False, True])
@pytest.mark.parametrize("change", [_grown, _cut, _swapped, _gone])
async def test_changed_media_are_never_sent_in_full(
    change: Callable[[ReadyClip], None],
    is_time_known: bool,  # noqa: FBT001 - a parameter
    tmp_path: Path,
) -> None:
    """A clip whose prepared files changed fails once, and no server gets a whole request."""
    clip = ready_clip(tmp_path, video_bytes=2 * BLOCK)
    clip = _hashed_before(clip) if is_time_known else clip
    change(clip)
    async with scripted() as replica:
        run = await sent(job(replica.base_url), [clip, ready_clip(tmp_path, "other")])
    codes = {o.clip.clip_id: getattr(o, "code", None) for o in run.outcomes}
    assert codes == {"clip": FailureCode.SOURCE_CHANGED, "other": None}
    assert [seen.headers["x-request-id"] for seen in replica.seen] == ["other-1"]
    assert run.report[0]["ejections"] == 0


async def test_media_that_change_while_they_are_sent_are_not_sent_in_full(tmp_path: Path) -> None:
    """A file that is written to during the upload ends it before its last byte."""
    clip = _hashed_before(ready_clip(tmp_path, video_bytes=30_000_000))  # no socket holds it
    bodies = []

    async def step(request: web.Request) -> web.StreamResponse:
        clip.video.touch()
        bodies.append(await request.read())
        return await caption()(request)

    async with scripted(unread(step)) as replica:
        run = await sent(job(replica.base_url), [clip])
    assert run.failure.code is FailureCode.SOURCE_CHANGED
    assert bodies == []


async def test_request_ids_name_clip_and_attempt(tmp_path: Path) -> None:
    """Each request carries the clip's id and the attempt, without what a header cannot hold."""
    clip = ready_clip(tmp_path)
    odd = replace(clip, clip=replace(clip.clip, clip_id="ä b\r\nX: 1"))
    async with scripted(answer(500), caption(), caption()) as replica:
        await sent(job(replica.base_url), [clip])
        await sent(job(replica.base_url), [odd])
    ids = [seen.headers["x-request-id"] for seen in replica.seen]
    assert ids == ["clip-1", "clip-2", "--b--X--1-1"]


async def test_connections_are_reused(tmp_path: Path) -> None:
    """Where answers name their requests, these share a connection, after refusals as well."""
    ports: set[object] = set()

    async def step(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        ports.add(request.transport.get_extra_info("peername"))
        kinds = [answer(500, b"x"), stream(sse_lines()), caption()]
        return await kinds[len(replica.seen) % 3](request)

    async with scripted() as replica:
        replica.default, replica.names_requests = step, True
        clips = [ready_clip(tmp_path, f"c{n}") for n in range(9)]
        await sent(job(replica.base_url, max_in_flight=1, adaptive=False), clips)
    assert len(replica.seen) > 9
    assert len(ports) == 1


async def test_connection_that_was_closed_meanwhile_costs_no_attempt(tmp_path: Path) -> None:
    """A clip that meets a pooled connection whose server has left it is asked again for free."""
    async with scripted(caption(), unread(raw(b"", end="reset"))) as replica:
        replica.names_requests = True
        plan = job(replica.base_url, request={"max_attempts": 1}, max_in_flight=1, adaptive=False)
        run = await sent(plan, [ready_clip(tmp_path, f"c{n}") for n in range(3)])
    codes = [attempt.code for outcome in run.outcomes for attempt in outcome.attempts]
    assert sorted(map(str, codes)) == ["None", "None", "None", "disconnected"]
    assert not any(isinstance(outcome, Failure) for outcome in run.outcomes)


async def test_connection_that_breaks_again_costs_an_attempt(tmp_path: Path) -> None:
    """A clip at which connections break is given up in the end, however often they were used."""

    async def step(request: web.Request) -> web.StreamResponse:
        is_bad = request.headers["x-request-id"].startswith("bad")
        return await (raw(b"", end="reset") if is_bad else caption())(request)

    async with scripted() as replica:
        replica.default = step
        plan = job(replica.base_url, max_in_flight=4, adaptive=False)
        clips = [ready_clip(tmp_path, f"c{n}") for n in range(12)]
        run = await sent(plan, [*clips, ready_clip(tmp_path, "bad")])
    (failure,) = (one for one in run.outcomes if isinstance(one, Failure))
    assert failure.code is FailureCode.DISCONNECTED
    assert len(failure.attempts) <= 4


async def test_first_token_is_timed(tmp_path: Path) -> None:
    """ttft_s is the time to the first streamed text, not to the first chunk or the last."""
    lines = sse_lines()

    async def step(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for portion, pause_s in (lines[0], 0.2), (lines[1], 0.6), (b"".join(lines[2:]), 0):
            await response.write(portion)
            await anyio.sleep(pause_s)
        return response

    async with scripted(step) as replica:
        run = await sent(job(replica.base_url, request={"stream": True}), [ready_clip(tmp_path)])
    latency = run.caption.latency
    assert latency.ttft_s is not None
    assert latency.ttft_s >= 0.2
    assert latency.request_s - latency.ttft_s >= 0.15


async def test_server_tells_the_first_token_of_whole_answers(tmp_path: Path) -> None:
    """Without streaming ttft_s is what the server's header says, else unknown."""
    headers = {"Fireworks-Server-Time-To-First-Token": "0.4"}
    async with scripted(answer(200, completion(), headers)) as replica:
        told = await sent(job(replica.base_url), [ready_clip(tmp_path)])
        silent = await sent(job(replica.base_url), [ready_clip(tmp_path)])
    assert told.caption.latency.ttft_s == 0.4
    assert told.caption.server == {"server-time-to-first-token": 0.4}
    assert silent.caption.latency.ttft_s is None


async def test_latency_holds_together(tmp_path: Path) -> None:
    """total_s is prepare_s, queue_s and request_s; earlier attempts are in queue_s."""
    slow_error = gated(anyio.Event(), caption())
    async with scripted(slow_error, caption(delay_s=0.1)) as replica:
        run = await sent(job(replica.base_url, request={"timeout_s": 1}), [ready_clip(tmp_path)])
    latency, last = run.caption.latency, run.caption.attempts[-1]
    assert latency.prepare_s == 0.5
    assert latency.queue_s >= 1
    assert latency.request_s == pytest.approx(last.ended_s - last.started_s)
    assert latency.request_s >= 0.1
    parts_s = latency.prepare_s + latency.queue_s + latency.request_s
    assert latency.total_s == pytest.approx(parts_s)


async def test_server_that_stops_reading_is_given_up(
    tmp_path: Path,
) -> None:
    """An upload that stalls ends long before the time for the whole answer is over."""
    tuning = replace(QUICK, stall_s=1.0)
    async with scripted(unread(raw(b"", end="hang"))) as replica:
        clip = ready_clip(tmp_path, video_bytes=12_000_000)
        run = await sent(job(replica.base_url), [clip], tuning=tuning)
    assert [attempt.code for attempt in run.caption.attempts] == [FailureCode.TIMEOUT, None]
    assert run.caption.attempts[0].ended_s - run.caption.attempts[0].started_s < 15


async def test_early_refusal_of_a_large_body_is_read(tmp_path: Path) -> None:
    """A refusal that comes while the body is still going out counts by its status."""

    async def step(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=413)
        response.content_length = 0
        await response.prepare(request)
        await response.write_eof()
        await anyio.sleep(5)
        return response

    async with scripted(unread(step)) as replica:
        clip = ready_clip(tmp_path, video_bytes=12_000_000)
        run = await sent(job(replica.base_url), [clip], within_s=60)
    assert run.failure.code is FailureCode.PAYLOAD_REFUSED


async def test_proxy_of_the_environment_is_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """HTTP_PROXY is honoured with its own credentials, and NO_PROXY excludes hosts from it."""
    async with scripted() as proxy:
        address = proxy.base_url.removeprefix("http://").removesuffix("/v1")
        monkeypatch.setenv("http_proxy", f"http://user:pass@{address}")
        await sent(job("http://deployment.invalid/v1"), [ready_clip(tmp_path)])
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        await sent(job(proxy.base_url), [ready_clip(tmp_path)])
    through, direct = proxy.seen
    assert through.url == "http://deployment.invalid/v1/chat/completions"
    assert through.headers["proxy-authorization"].startswith("Basic ")
    assert "authorization" not in through.headers
    assert "proxy-authorization" not in direct.headers


def _descendants(kind: type[BaseException]) -> set[type[BaseException]]:
    below = kind.__subclasses__()
    return set(below).union(*map(_descendants, below))


def test_every_exception_of_the_library_is_mapped() -> None:
    """Each client exception has a code of its own, not that of the common base."""
    public = {kind for kind in _descendants(aiohttp.ClientError) if "aiohttp" in kind.__module__}
    assert len(public) > 20
    listed = [kind for kind, _, _ in _CODES if kind not in {aiohttp.ClientError, OSError}]
    unmapped = {kind for kind in public if not issubclass(kind, tuple(listed))}
    assert unmapped == set()


def test_subclasses_are_mapped_before_their_bases() -> None:
    """No entry of the map is hidden behind one of its bases."""
    kinds = [kind for kind, _, _ in _CODES]
    for place, kind in enumerate(kinds):
        assert not any(issubclass(kind, earlier) for earlier in kinds[:place]), kind


def test_foreign_text_of_exceptions_is_not_told() -> None:
    """What an exception says is not repeated, for it may hold a header."""
    assert "secret" not in verdict_on(aiohttp.ClientPayloadError("secret")).detail
    assert "secret" not in verdict_on(OSError(104, "secret")).detail
