"""Sends one request to one deployment, and returns its end as a value, never an error (main)."""

import math
import re
from collections import deque
from dataclasses import dataclass, replace
from typing import Any

import aiohttp
import anyio
from pydantic import SecretStr

from captionfleet.config import DeploymentConfig, RequestConfig
from captionfleet.config.withheld import strings_in
from captionfleet.errors import FailureCode
from captionfleet.messages import MAX_ANSWER_BYTES, ReadyClip
from captionfleet.sender.body import UPLOAD_STALL_S, Body
from captionfleet.sender.chat.answers import Answer, AnswerReader, error_of
from captionfleet.sender.chat.parts import media_pieces
from captionfleet.sender.chat.request import BodyTemplate, body_template
from captionfleet.sender.connections import REQUEST_ID
from captionfleet.sender.deadline import answered_within
from captionfleet.sender.routing.verdict import Verdict, classify, judge
from captionfleet.sender.transport import BORDER, Flight, proxy_for, scrubbed, verdict_on
from captionfleet.sender.upload import Upload
from captionfleet.telemetry import get_log, monotonic_s

__all__ = ["STREAM_END_S", "DeploymentClient", "Reply"]

_MAX_ERROR_BYTES = 64 * 2**10
_ERROR_BODY_S = 5.0
STREAM_END_S = 2.0
"""Silence after a finish reason: usage and [DONE] follow at once, or never."""
_CONNECTION_END_S = 0.25  # seconds for the body's end, which makes the connection reusable
_REMEMBERED_IDS = 1024  # requests in flight, and earlier ones whose answers may arrive late
# On a reused connection these failures are the connection's, not the deployment's or the clip's.
_OF_CONNECTION = frozenset({FailureCode.DISCONNECTED, FailureCode.MALFORMED_ANSWER})


@dataclass(frozen=True, slots=True)
class Reply:
    """How one request ended, with the monotonic times of its start and end.

    `upload_s` is the time until the body was sent; None if it never was.
    """

    started_s: float
    ended_s: float
    status: int | None
    outcome: Answer | Verdict
    upload_s: float | None = None


class DeploymentClient:
    """Sends clips to one deployment, with its key and no other.

    Attributes:
        key_env: the environment variable of its key; empty where none is sent.

    Raises:
        ConfigError: the key is missing or invalid in a header, or extra_body is wrong.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        config: DeploymentConfig,
        *requests: RequestConfig,
        stall_s: float = UPLOAD_STALL_S,
        stream_end_s: float = STREAM_END_S,
    ) -> None:
        self._session = session
        self._stall_s = stall_s
        self._stream_end_s = stream_end_s
        self._requests = {request.name: request for request in requests}
        self._base_url = config.base_url.rstrip("/")
        self._form = config.form
        self._hears = "audio" in config.modalities
        self._tells_times = config.frames.times
        self._key = config.api_key()
        self.key_env = config.key_env_at(config.base_url) if self._key is not None else ""
        self._extra = strings_in(config.extra_body)
        self._name = config.name
        self._proxy = proxy_for(self._base_url)
        self._sent_ids: deque[str] = deque(maxlen=_REMEMBERED_IDS)
        connect_s = max(request.connect_timeout_s for request in requests)
        self._timeout = aiohttp.ClientTimeout(total=None, connect=connect_s)
        self._config = config
        self._templates = {one.name: body_template(one, config) for one in requests}

    async def ask(self, ready: ReadyClip, request_id: str, max_tokens: int | None = None) -> Reply:
        """Ask for the caption of one clip, once; `max_tokens` overrides the job's."""
        template = self._template_for(ready, max_tokens)
        upload = self._upload(ready.in_form(self._form), template)
        body = Body(upload, stall_s=self._stall_s)
        flight = Flight(_header_form(request_id))
        exchange = _Exchange(self._key, self._extra, body, self._stream_end_s)
        self._sent_ids.append(flight.request_id)
        started_s = monotonic_s()
        outcome: Answer | Verdict
        try:
            async with (
                answered_within(self._requests[ready.request].timeout_s),
                self._session.post(
                    f"{self._base_url}/chat/completions",
                    data=body,
                    headers=self._headers(flight.request_id),
                    allow_redirects=False,
                    proxy=self._proxy,
                    timeout=self._timeout,
                    trace_request_ctx=flight,
                ) as response,
            ):
                if self._is_anothers(response, flight):
                    outcome = self._misdelivered()
                else:
                    outcome = await exchange.receive(response, started_s)
        except BORDER as error:
            verdict = body.problem or verdict_on(error)
            if flight.is_on_used_connection and exchange.status is None and body.was_out_briefly:
                verdict = replace(verdict, stale=verdict.code in _OF_CONNECTION)
            outcome = verdict if body.problem else exchange.kept() or verdict
        upload_s = None if body.written_s is None else body.written_s - started_s
        return Reply(started_s, monotonic_s(), exchange.status, outcome, upload_s)

    def _upload(self, ready: ReadyClip, template: BodyTemplate) -> Upload:
        media = media_pieces(
            self._form,
            ready.facts,
            with_audio=self._hears and ready.audio is not None,
            from_s=ready.clip.start_s if self._tells_times else None,
        )
        return Upload(template.around(media), ready)

    def _template_for(self, ready: ReadyClip, max_tokens: int | None) -> BodyTemplate:
        """The body around the media; a clip may have a prompt of its own."""
        prompt = ready.clip.source.row.prompt or ready.prompt
        own: dict[str, Any] = {"prompt": prompt, "max_tokens": max_tokens}
        own = {name: value for name, value in own.items() if value}
        if not own:
            return self._templates[ready.request]
        request = self._requests[ready.request].model_copy(update=own)
        return body_template(request, self._config)

    def _is_anothers(self, response: aiohttp.ClientResponse, flight: Flight) -> bool:
        """Whether the answer belongs, or may belong, to another request.

        A connection is reused only where the server repeats request ids in its answers.
        """
        named = response.headers.get(REQUEST_ID)
        if named == flight.request_id:
            return False
        return flight.is_on_used_connection or named in self._sent_ids

    def _misdelivered(self) -> Verdict:
        get_log().warning("answer_to_another_request", deployment=self._name)
        verdict = judge(FailureCode.DISCONNECTED, "the answer belongs to another request")
        return replace(verdict, stale=True)

    async def check(self, timeout_s: float) -> Verdict | None:
        """Why the deployment cannot be used, judged by its list of models; None if it can."""
        try:
            with anyio.fail_after(timeout_s):
                async with self._session.get(
                    f"{self._base_url}/models",
                    headers=self._headers("check"),
                    allow_redirects=False,
                    proxy=self._proxy,
                    timeout=self._timeout,
                ) as response:
                    status = response.status
        except TimeoutError:  # also if connecting takes that long
            return judge(FailureCode.TIMEOUT, f"no answer within {timeout_s:g} s")
        except BORDER as error:
            return verdict_on(error)
        # Only these apply to captions as well: many servers have no list of models.
        return classify(status, None, {}) if status in {401, 403} else None

    def _headers(self, request_id: str) -> dict[str, str]:
        headers = {"Accept": "application/json, text/event-stream", REQUEST_ID: request_id}
        if self._key is not None:
            headers["Authorization"] = f"Bearer {self._key.get_secret_value()}"
        return headers


class _Exchange:
    """Reads one answer, and keeps its status even if it breaks off."""

    def __init__(
        self, key: SecretStr | None, extra: list[str], body: Body, stream_end_s: float
    ) -> None:
        self._key = key
        self._extra = extra
        self._body = body
        self._stream_end_s = stream_end_s
        self.status: int | None = None
        self._reader: AnswerReader | None = None
        self._headers: dict[str, str] = {}
        self._ttft_s: float | None = None

    async def receive(self, response: aiohttp.ClientResponse, started_s: float) -> Answer | Verdict:
        self.status = response.status
        headers = {name.lower(): value for name, value in response.headers.items()}
        if response.status != 200:  # noqa: PLR2004 - an HTTP status
            return await self._refusal(response, headers)
        if self._body.written_s is None:
            words = "the server answered before it had the whole request"
            return judge(FailureCode.MALFORMED_ANSWER, words)
        reader = AnswerReader(streamed=response.content_type == "text/event-stream")
        self._reader, self._headers = reader, headers
        problem = await self._read(response, reader, started_s)
        return problem or self._closed(reader)

    def kept(self) -> Answer | None:
        """The caption, if it was complete before the connection broke or the time ran out."""
        if self._reader is None or not self._reader.is_complete:
            return None
        outcome = self._closed(self._reader)
        return outcome if isinstance(outcome, Answer) else None

    async def _read(
        self, response: aiohttp.ClientResponse, reader: AnswerReader, started_s: float
    ) -> Verdict | None:
        """Feed the reader until the answer ends."""
        left_bytes = MAX_ANSWER_BYTES
        with anyio.CancelScope() as silence:
            async for portion in response.content.iter_any():
                left_bytes -= len(portion)
                if left_bytes < 0:
                    return None if reader.awaits_end else _too_large()
                reader.feed(portion)
                if self._ttft_s is None and reader.has_text:
                    self._ttft_s = monotonic_s() - started_s
                if reader.is_over:
                    silence.deadline = anyio.current_time() + _CONNECTION_END_S
                    await _discard(response)
                    return None
                left_s = self._stream_end_s if reader.awaits_end else math.inf
                silence.deadline = anyio.current_time() + left_s
        return None

    def _closed(self, reader: AnswerReader) -> Answer | Verdict:
        outcome = reader.close(self._headers)
        if isinstance(outcome, Verdict):
            return replace(outcome, detail=scrubbed(outcome.detail, self._key, self._extra))
        return self._without_key(replace(outcome, ttft_s=self._ttft_s or outcome.ttft_s))

    async def _refusal(self, response: aiohttp.ClientResponse, headers: dict[str, str]) -> Verdict:
        """The verdict by status and headers, and by the error code in the body if that arrives."""
        body = bytearray()
        try:
            with anyio.move_on_after(_ERROR_BODY_S):
                async for portion in response.content.iter_any():
                    body += portion
                    if len(body) > _MAX_ERROR_BYTES:
                        break
        except BORDER:
            pass
        code, message = error_of(bytes(body), response.content_type)
        code, message = (scrubbed(one, self._key, self._extra) for one in (code or "", message))
        return classify(response.status, code, headers, message)

    def _without_key(self, answer: Answer) -> Answer:
        reported = {
            name: scrubbed(value, self._key) if isinstance(value, str) else value
            for name, value in answer.server.items()
        }
        texts = (answer.text, answer.finish_reason, answer.reasoning)
        text, reason, thought = (scrubbed(one, self._key) for one in texts)
        return replace(answer, text=text, finish_reason=reason, reasoning=thought, server=reported)


async def _discard(response: aiohttp.ClientResponse) -> None:
    """Read to the end of the body, which follows the answer within a portion or two."""
    try:
        while await response.content.read(2**16):
            pass
    except BORDER:
        pass


def _too_large() -> Verdict:
    """A failure without retry: a second request would cost as much, and be as large."""
    words = f"the answer is larger than {MAX_ANSWER_BYTES >> 20} MiB: lower max_tokens"
    return judge(FailureCode.MALFORMED_ANSWER, words, retry=False)


def _header_form(request_id: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "-", request_id)[:100]
