"""The stand-in over real HTTP: what it serves, and what it refuses."""

import hashlib
from collections.abc import Callable
from functools import cache
from typing import Any

import anyio
import numpy as np
import pytest
from aiohttp import ClientError, ClientSession

from captionfleet.standin.ledger import Ledger
from captionfleet.standin.options import StandinOptions
from captionfleet.standin.senses.perception import hear, look
from captionfleet.standin.server import serving
from captionfleet.standin.tokens import prompt_tokens, text_tokens
from tests.standin import media
from tests.standin.asking import Asker, asker, events, message

pytestmark = pytest.mark.anyio

film = cache(media.film)
ogg = cache(media.ogg)


async def test_caption_is_made_from_the_bytes_sent() -> None:
    """The caption tells the frames seen and ends with the SHA-256 of both media."""
    async with asker() as to:
        status, answer = await to.ask(media.body(film(6), ogg()))
    assert status == 200
    caption = message(answer)
    assert "6 frames of 64x48" in caption
    assert "The sound lasts 2.0 seconds" in caption
    assert caption.endswith(
        f"video sha256 {hashlib.sha256(film(6)).hexdigest()}\n"
        f"audio sha256 {hashlib.sha256(ogg()).hexdigest()}"
    )
    (record,) = to.standin.requests
    assert record.video_sha256 == hashlib.sha256(film(6)).hexdigest()
    assert record.audio_sha256 == hashlib.sha256(ogg()).hexdigest()


@pytest.mark.parametrize("profile", ["qwen3-omni", "molmo2"])
async def test_usage_is_the_documented_arithmetic(profile: Any) -> None:
    """Usage counts the frames, seconds and characters that were really sent and answered."""
    async with asker(profile=profile) as to:
        _, answer = await to.ask(media.body(film(), ogg()))
    text = "Describe what happens in this video."
    assert answer["usage"]["prompt_tokens"] == prompt_tokens(
        profile, text, look(film()), hear(ogg())
    )
    assert answer["usage"]["completion_tokens"] == text_tokens(message(answer))
    assert answer["usage"]["total_tokens"] == sum(
        answer["usage"][part] for part in ("prompt_tokens", "completion_tokens")
    )


async def test_answer_carries_perf_headers_and_the_request_id() -> None:
    """Perf metrics come as strings in headers, in the body when asked for; the id is echoed."""
    body = media.body(film(), perf_metrics_in_response=True)
    async with (
        asker(service_time_s=0.05) as to,
        to.asked(body, {"x-request-id": "clip-7"}) as response,
    ):
        answer = await response.json()
    assert response.headers["x-request-id"] == "clip-7"
    assert response.headers["fireworks-prompt-tokens"] == str(answer["usage"]["prompt_tokens"])
    assert float(response.headers["fireworks-server-time-to-first-token"]) >= 0.05
    assert response.headers["fireworks-num-concurrent-requests"] == "1"
    for name, value in answer["perf_metrics"].items():
        assert response.headers[f"fireworks-{name}"] == value


async def test_stream_carries_the_same_caption_and_usage_at_the_end() -> None:
    """A stream's pieces are the caption, and its finishing chunk alone has the usage."""
    async with asker() as to:
        _, whole = await to.ask(media.body(film(), ogg()))
        async with to.asked(media.body(film(), ogg(), stream=True)) as response:
            chunks = events(await response.read())
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert "".join(delta.get("content", "") for delta in deltas) == message(whole)
    *earlier, last = chunks
    assert all(chunk["usage"] is None for chunk in earlier)
    assert last["usage"] == whole["usage"]
    assert last["choices"][0]["finish_reason"] == "stop"
    assert "fireworks-server-time-to-first-token" in response.headers
    assert "fireworks-deployment" not in response.headers


@pytest.mark.parametrize("asked", [True, False])
async def test_vllm_streams_usage_only_when_asked(asked: bool) -> None:  # noqa: FBT001 -- a parameter
    """Without strict, usage comes in a chunk without choices, and only on include_usage."""
    body = media.body(film(), stream=True, mm_processor_kwargs={})
    body |= {"stream_options": {"include_usage": True}} if asked else {}
    async with asker(strict=False) as to, to.asked(body) as response:
        chunks = events(await response.read())
    assert [bool(chunk["usage"]) for chunk in chunks if not chunk["choices"]] == [True] * asked
    assert not [name for name in response.headers if name.startswith("fireworks-")]


async def test_max_tokens_shortens_the_caption() -> None:
    """A caption that reaches max_tokens ends there, with finish_reason length."""
    async with asker() as to:
        _, answer = await to.ask(media.body(film(), max_tokens=5))
    assert len(message(answer)) == 20
    assert answer["choices"][0]["finish_reason"] == "length"
    assert answer["usage"]["completion_tokens"] == 5


@pytest.mark.parametrize("tokens", [60, 400])
async def test_caption_can_have_a_fixed_length(tokens: int) -> None:
    """Every caption has exactly as many tokens as the stand-in was told, its proof included."""
    async with asker(completion_tokens=tokens) as to:
        _, answer = await to.ask(media.body(film(), ogg()))
    assert answer["usage"]["completion_tokens"] == tokens
    assert message(answer).endswith(hashlib.sha256(ogg()).hexdigest())


async def test_text_alone_is_answered() -> None:
    """A readiness probe without media gets a caption."""
    async with asker() as to:
        status, answer = await to.ask(
            {"model": "omni", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 1}
        )
    assert (status, answer["usage"]["prompt_tokens"]) == (200, 1)


async def test_media_can_go_unwatched() -> None:
    """With watch_media off any bytes get a caption that names them."""
    async with asker(watch_media=False) as to:
        status, answer = await to.ask(media.body(b"no film"))
    assert status == 200
    assert hashlib.sha256(b"no film").hexdigest() in message(answer)


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "x"}])
async def test_wrong_key_is_refused(header: dict[str, str]) -> None:
    """A request without the right bearer key is a 401 that does not tell the key."""
    async with asker(api_key="right") as to:
        status, answer = await to.ask(media.body(film()), header)
        right, _ = await to.ask(media.body(film()), {"Authorization": "Bearer right"})
    assert (status, right) == (401, 200)
    assert "right" not in str(answer)


@pytest.mark.parametrize("key", [None, "right"])
async def test_header_that_is_no_text_does_no_harm(key: str | None) -> None:
    """Bytes that are no UTF-8 in a header get an answer like any other wrong value."""
    body = b'{"model": "m", "messages": [{"role": "user", "content": "hi"}]}'
    head = (
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        b"Authorization: Bearer \xff\r\nX-Request-Id: \xff\r\nContent-Length: %d\r\n\r\n"
    )
    async with (
        asker(api_key=key) as to,
        await anyio.connect_tcp(to.standin.host, to.standin.port) as connection,
    ):
        await connection.send(head % len(body) + body)
        answer = await connection.receive()
    assert answer.split(b" ")[1] == (b"401" if key else b"200")


async def test_unknown_field_is_refused_by_name() -> None:
    """An unknown field is a 400 in the words of the service, at any depth."""
    async with asker() as to:
        status, answer = await to.ask(media.body(film(), mm_processor_kwargs={"fps": 1}))
        body = media.body(film())
        body["messages"][0]["content"][0]["video_url"]["fps"] = 2
        deep, deep_answer = await to.ask(body)
    assert (status, deep) == (400, 400)
    assert answer["error"]["message"] == (
        "Extra inputs are not permitted, field: 'mm_processor_kwargs', value: {'fps': 1}"
    )
    assert answer["error"]["code"] == "invalid_request_error"
    assert deep_answer["error"]["param"].endswith("video_url.fps")


def _twice(body: dict[str, Any]) -> dict[str, Any]:
    body["messages"] *= 2
    return body


def _with_url(url: str) -> dict[str, Any]:
    body = media.body(b"")
    body["messages"][0]["content"][0]["video_url"]["url"] = url
    return body


WRONG: dict[str, tuple[Callable[[], Any], str]] = {
    "not-json": (lambda: b"{", "no JSON"),
    "json-list": (lambda: b"[]", "no JSON object"),
    "no-tokens": (lambda: media.body(max_tokens=0), "max_tokens"),
    "tokens-twice": (lambda: media.body(max_tokens=1, max_completion_tokens=1), "exclude"),
    "too-hot": (lambda: media.body(temperature=3), "temperature"),
    "stream-options": (lambda: media.body(stream_options={"include_usage": True}), "stream: true"),
    "no-messages": (lambda: media.body(messages=[]), "messages"),
    "image": (
        lambda: media.body(messages=[{"role": "user", "content": [{"type": "image_url"}]}]),
        "image_url",
    ),
    "two-videos": (lambda: _twice(media.body(film())), "2 video parts"),
    "https": (lambda: _with_url("https://example.org/a.mp4"), "data:"),
    "webm": (lambda: _with_url("data:video/webm;base64,AAAA"), "video/webm"),
    "spaced-base64": (lambda: _with_url("data:video/mp4;base64,AA AA"), "not valid base64"),
    "short-base64": (lambda: _with_url("data:video/mp4;base64,AAA"), "not valid base64"),
    "no-film": (lambda: media.body(b"no film"), "MP4"),
    "one-frame": (lambda: media.body(film(1)), "1 frame"),
    "odd-count": (lambda: media.body(film(3)), "odd number"),
    "odd-size": (
        lambda: media.body(film(2, 65, 48, pix_fmt="yuv444p")),
        "errors: the pixel format is yuv444p, not 8-bit yuv420p; the frame size 65x48 is odd",
    ),
    "long-video": (lambda: media.body(film(62, 32, 32)), "the video lasts 62.0 s"),
    "no-sound": (lambda: media.body(film(), b"no sound"), "Ogg"),
    "long-audio": (lambda: media.body(film(), ogg(62.0)), "the audio lasts 62.0 s"),
    "stereo": (
        lambda: media.body(film(), media.tone("ogg", "libopus", 1.0, layout="stereo")),
        "2 channels",
    ),
}


@pytest.mark.parametrize("name", WRONG)
async def test_wrong_request_is_a_400(name: str) -> None:
    """Whatever is wrong with a request is answered by a 400 that says what."""
    body, words = WRONG[name]
    async with asker() as to:
        status, answer = await to.ask(body())
    assert status == 400
    assert words in answer["error"]["message"]
    assert (answer["error"]["code"], answer["error"]["type"]) == ("invalid_request_error", "error")


async def test_audio_to_a_deaf_model_is_refused() -> None:
    """A deployment without the audio modality refuses the audio part, and takes the video."""
    async with asker(modalities=("video",)) as to:
        status, answer = await to.ask(media.body(film(), ogg()))
        alone, _ = await to.ask(media.body(film()))
    assert (status, alone) == (400, 200)
    assert answer["error"]["param"] == "audio_url"


async def test_wrong_model_is_not_found() -> None:
    """A model that is not served is the documented 404."""
    async with asker(models=("accounts/a/deployments/b",)) as to:
        status, answer = await to.ask(media.body(film()))
        async with to.session.get(f"{to.standin.base_url}/models") as response:
            models = await response.json()
    assert (status, answer["error"]["code"], answer["error"]["param"]) == (
        404,
        "NOT_FOUND",
        "model",
    )
    assert [model["id"] for model in models["data"]] == ["accounts/a/deployments/b"]


@pytest.mark.parametrize("size_bytes", [7_500_000, 15_000_000], ids=["base64", "body"])
async def test_over_large_request_is_a_413(size_bytes: int) -> None:
    """Ten megabytes of base64 are refused with a proper body, as is a still larger request."""
    async with asker(watch_media=False) as to:
        under, _ = await to.ask(media.body(bytes(7_400_000)))
        status, answer = await to.ask(media.body(bytes(size_bytes)))
    assert (under, status) == (200, 413)
    assert answer["error"]["code"] == "PAYLOAD_TOO_LARGE"


async def test_vllm_error_codes_are_integers() -> None:
    """Without strict, unknown fields pass and errors look like vLLM's."""
    async with asker(strict=False) as to:
        fine, _ = await to.ask(media.body(film(3), unknown=1))
        status, answer = await to.ask(media.body(film(1)))
    assert (fine, status, answer["error"]["code"]) == (200, 400, 400)
    assert answer["error"]["type"] == "BadRequestError"


async def test_slots_and_queue_are_obeyed() -> None:
    """No more than the slots are served at a time, the queue waits, and the rest gets a 429."""
    async with asker(slots=2, max_queue=3, service_time_s=0.8, watch_media=False) as to:
        statuses = []

        async def ask() -> None:
            statuses.append((await to.ask(media.body(b"x")))[0])

        async with anyio.create_task_group() as tasks:
            for _ in range(8):
                tasks.start_soon(ask)
    assert sorted(statuses) == [200] * 5 + [429] * 3
    ledger = to.standin.ledger
    assert (ledger.max_serving, ledger.max_in_flight, ledger.in_flight) == (2, 8, 0)
    assert ledger.by_status == {200: 5, 429: 3}


async def test_slots_halve() -> None:
    """After the given time half of the slots serve, and no more requests are let in than fit."""
    options = {"slots": 4, "max_queue": 1, "service_time_s": 0.5, "watch_media": False}
    async with asker(halves_after_s=0.1, **options) as to:
        await to.ask(media.body(b"x"))  # from here on the time counts
        statuses = []

        async def ask() -> None:
            statuses.append((await to.ask(media.body(b"x")))[0])

        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(ask)
    assert sorted(statuses) == [200] * 3 + [429] * 2
    assert to.standin.ledger.max_serving == 2


async def test_next_request_finds_the_slot_free() -> None:
    """A client that waits for each answer never meets its own last request in the way."""
    async with asker(slots=1, max_queue=0, watch_media=False) as to:
        for stream in (False, True) * 10:
            async with to.asked(media.body(b"x", stream=stream)) as response:
                await response.read()
    assert to.standin.ledger.by_status == {200: 20}
    assert to.standin.ledger.max_in_flight == 1


@pytest.mark.parametrize("stream", [False, True])
async def test_client_that_leaves_frees_its_slot(stream: bool) -> None:  # noqa: FBT001 -- a parameter
    """A slot is free again as soon as the client that held it disconnects."""
    slow = {"service_time_s": 0.01, "time_per_token_s": 10.0}
    async with asker(slots=1, max_queue=0, watch_media=False, **slow) as to:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(to.ask, media.body(b"x", stream=stream))
            await to.standin.ledger.until(lambda ledger: ledger.serving == 1)
            tasks.cancel_scope.cancel()
        await to.standin.ledger.until(lambda ledger: ledger.in_flight == ledger.serving == 0)
        status, _ = await to.ask(media.body(b"x", max_tokens=1))
    assert status == 200
    assert [record.client_left for record in to.standin.requests] == [True, False]


async def test_cold_start_scales_up_and_then_serves() -> None:
    """A cold deployment answers 503 DEPLOYMENT_SCALING_UP at once until it is warm."""
    async with asker(cold_start_s=0.3) as to:
        status, answer = await to.ask(media.body(film()))
        assert (status, answer["error"]["code"]) == (503, "DEPLOYMENT_SCALING_UP")
        while status == 503:
            status, _ = await to.ask(media.body(film()))
        assert status == 200
    last, first = to.standin.requests[-1], to.standin.requests[0]
    assert (last.ended_s or 0) - first.started_s >= 0.3  # it may have begun a moment before


async def test_service_time_is_kept_and_varied() -> None:
    """Each request holds its slot for the service time, give or take the jitter."""
    async with asker(service_time_s=0.1, service_time_jitter=0.5, watch_media=False) as to:
        for _ in range(8):
            await to.ask(media.body(b"x"))
    times_s = [(record.ended_s or 0) - record.started_s for record in to.standin.requests]
    assert min(times_s) >= 0.05
    assert np.ptp(times_s) > 0.02


async def test_stats_health_and_both_prefixes_are_served() -> None:
    """The counters are served as JSON, and both the service's and the plain prefix answer."""
    async with asker(models=("omni",)) as to:
        root = to.standin.base_url.removesuffix("/v1")
        url = f"{root}/inference/v1/chat/completions"
        async with to.session.post(url, json=media.body(film())) as response:
            assert response.status == 200
        async with to.session.get(f"{root}/health") as response:
            assert response.status == 200
        async with to.session.get(f"{root}/stats") as response:
            stats = await response.json()
    assert (stats["total"], stats["by_status"]) == (1, {"200": 1})
    assert stats["requests"][0]["video_sha256"] == hashlib.sha256(film()).hexdigest()


async def test_stopping_does_not_wait_for_hanging_requests() -> None:
    """A stand-in that is stopped breaks off what it has not answered."""
    options = StandinOptions(service_time_s=500, watch_media=False)
    async with anyio.create_task_group() as tasks, ClientSession() as session:
        async with serving(options) as standin:
            tasks.start_soon(_broken_off, Asker(standin, session))
            with anyio.fail_after(60):
                await standin.ledger.until(lambda ledger: ledger.serving == 1)
            stopped_s = anyio.current_time()
        assert anyio.current_time() - stopped_s < 100
    assert standin.ledger.in_flight == 0


async def _broken_off(to: Asker) -> None:
    with pytest.raises(ClientError):
        await to.ask(media.body(b"x"))


async def test_address_in_use_is_an_os_error() -> None:
    """Two stand-ins cannot have one port."""
    async with asker() as to:
        with pytest.raises(OSError, match="address already in use"):
            async with asker(port=to.standin.port):
                pass


async def test_ledger_tells_a_failure_from_a_client_that_left() -> None:
    """A request whose handling broke is recorded as a 500, one whose connection broke is not."""
    ledger = Ledger()
    for error in (RuntimeError, ConnectionResetError):
        with pytest.raises(error), ledger.opened():
            raise error
    assert [(record.status, record.client_left) for record in ledger.records] == [
        (500, False),
        (None, True),
    ]
