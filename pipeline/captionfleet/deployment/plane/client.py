"""Makes HTTP calls to the control plane (main process).

Nothing of aiohttp leaves this module: its exceptions hold the request's headers, and with them the
key. It follows no redirect; every answer has a size limit and every call a deadline.
"""

import random
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import anyio
import orjson
from pydantic import SecretStr

from captionfleet.config.address import is_bare
from captionfleet.config.keys import KeyPair, key_for, origin_of, read_key
from captionfleet.config.sections.lifecycle import INFERENCE_PATH
from captionfleet.deployment.protocol.calls import Call
from captionfleet.deployment.protocol.refusals import (
    ControlError,
    Refusal,
    UnansweredError,
    error_for,
    read_refusal,
)
from captionfleet.errors import ConfigError
from captionfleet.sender.routing.verdict import retry_after_s
from captionfleet.sender.transport import BORDER, open_session, proxy_for, scrubbed, verdict_on
from captionfleet.telemetry import get_log

__all__ = ["WAITS", "ControlClient", "Proof", "Waits", "key_at", "open_client"]

_MAX_ANSWER_BYTES = 8 * 2**20
_MAX_ERROR_BYTES = 64 * 2**10
_CALL_S = 120.0
_ATTEMPTS = 4
_GROWTH, _LONGEST_WAIT_S = 3.0, 20.0
_AGAIN = frozenset({408, 429, 500, 502, 503, 504, 520})
_REDIRECTS = range(300, 400)
_MOST_CONNECTIONS = 8


@dataclass(frozen=True, slots=True)
class Proof:
    """The result of a tiny request to a deployment: its status, None without an answer."""

    status: int | None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class _Raw:
    status: int
    body: bytes
    is_cut: bool
    retry_after_s: float


@dataclass(frozen=True, slots=True)
class Waits:
    """How long calls to a control plane take and wait.

    Attributes:
        attempt_s: Seconds that one attempt at a call may take.
        first_wait_s: Seconds between the first attempt and the second.
        look_every_s: Seconds between two looks for a deployment that may yet appear.
        look_again_s: Seconds between looks at what one look does not prove: that a deployment does
            not exist, or that a change had no effect.
        again_s: Seconds between two attempts to turn a deployment off.
        refused_s: Seconds for which a deployment that a dead run left on may refuse that.
    """

    attempt_s: float = 30.0
    first_wait_s: float = 0.5
    look_every_s: float = 1.0
    # A gateway that restarts answers 404 for some seconds.
    look_again_s: tuple[float, ...] = (1.0, 2.0, 4.0)
    again_s: float = 2.0
    # Long enough for a gateway that restarts, short enough for every start of a run.
    refused_s: float = 10.0

    def backoff_s(self, attempt: int) -> float:
        """Seconds to wait after this attempt, from 1 on: a growing limit, less up to half."""
        longest_s = min(self.first_wait_s * _GROWTH ** (attempt - 1), _LONGEST_WAIT_S)
        return longest_s * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing


WAITS = Waits()


class ControlClient:
    """Makes calls with one key to one control plane."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        api_base: str,
        key: SecretStr,
        waits: Waits = WAITS,
    ) -> None:
        self.waits = waits
        self._session = session
        self._key = key
        self._proxy = proxy_for(api_base)
        self.api_base = api_base

    @property
    def base_url(self) -> str:
        """The address where this control plane's deployments take requests."""
        return f"{self.api_base}{INFERENCE_PATH}"

    async def answer(self, call: Call) -> dict[str, Any]:
        """Make a call and return the object in its answer.

        Repeatable calls are retried after 5xx, 408, 429 and broken connections, with growing waits.

        Raises:
            ControlError: it was refused, not answered in time, or answered by another kind of
                server.
        """
        try:
            with anyio.fail_after(_CALL_S):
                for attempt in range(1, _ATTEMPTS):
                    try:
                        raw = await self._once(call)
                    except UnansweredError:
                        if not call.may_repeat:
                            raise
                        wait_s = 0.0
                    else:
                        if not _is_worth_repeating(call, raw):
                            return self._read(call, raw)
                        wait_s = raw.retry_after_s
                    await anyio.sleep(
                        max(self.waits.backoff_s(attempt), min(wait_s, _LONGEST_WAIT_S))
                    )
                return self._read(call, await self._once(call))
        except TimeoutError:
            raise UnansweredError(f"{call.what}: no answer within {_CALL_S:.0f} s") from None

    async def prove(self, model: str, timeout_s: float = 30.0) -> Proof:
        """Request one token of text: only an answer proves that a deployment serves."""
        body = {
            "model": model,
            "messages": [{"role": "user", "content": "Say ok."}],
            "max_tokens": 1,
            "temperature": 0,
        }
        url = f"{self.base_url}/chat/completions"
        try:
            raw = await self._exchange("POST", url, orjson.dumps(body), timeout_s)
        except BORDER as error:
            return Proof(None, verdict_on(error).detail)
        refusal = self._refusal(raw)
        return Proof(raw.status, " ".join(filter(None, (refusal.code, refusal.message))))

    async def _once(self, call: Call) -> _Raw:
        url = f"{self.api_base}{call.path_and_query}"
        body = None if call.body is None else orjson.dumps(call.body)
        try:
            return await self._exchange(call.method, url, body, self.waits.attempt_s)
        except BORDER as error:
            detail = verdict_on(error).detail
            problem = f"{call.what}: {self.api_base} does not answer ({detail})"
            raise UnansweredError(problem) from None

    async def _exchange(self, method: str, url: str, body: bytes | None, timeout_s: float) -> _Raw:
        headers = {
            "Accept": "application/json",
            "Authorization": f"Bearer {self._key.get_secret_value()}",
        } | ({} if body is None else {"Content-Type": "application/json"})
        with anyio.fail_after(timeout_s):
            async with self._session.request(
                method,
                url,
                data=body,
                headers=headers,
                allow_redirects=False,
                proxy=self._proxy,
            ) as response:
                is_fine = response.ok
                most = _MAX_ANSWER_BYTES if is_fine else _MAX_ERROR_BYTES
                received = bytearray()
                async for portion in response.content.iter_any():
                    received += portion
                    if len(received) > most:
                        break
                headers = {name.lower(): value for name, value in response.headers.items()}
                is_cut = len(received) > most
                return _Raw(response.status, bytes(received[:most]), is_cut, retry_after_s(headers))

    def _read(self, call: Call, raw: _Raw) -> dict[str, Any]:
        if not 200 <= raw.status < 300:  # noqa: PLR2004 - HTTP's 2xx
            if raw.status in _REDIRECTS:
                raise ControlError(
                    f"{call.what}: {self.api_base} answers with a redirect ({raw.status}): "
                    "the base URL must be the end of it"
                )
            raise error_for(self._refusal(raw), call.what, is_look=call.is_look)
        if raw.is_cut:
            raise ControlError(f"{call.what}: the control plane's answer is larger than 8 MiB")
        try:
            answer = orjson.loads(self._scrubbed(raw.body) or b"{}")
        except orjson.JSONDecodeError:
            answer = None
        if not isinstance(answer, dict):
            raise ControlError(f"{call.what}: the control plane's answer is not a JSON object")
        return answer

    def _refusal(self, raw: _Raw) -> Refusal:
        return read_refusal(raw.status, self._scrubbed(raw.body))

    def _scrubbed(self, body: bytes) -> bytes:
        return scrubbed(body.decode(errors="replace"), self._key).encode()


def _is_worth_repeating(call: Call, raw: _Raw) -> bool:
    if raw.status not in _AGAIN or not call.may_repeat:
        return False
    is_quota = read_refusal(raw.status, raw.body).is_quota
    if not is_quota:
        get_log().info("control_plane_asked_again", call=call.what, status=raw.status)
    return not is_quota


def key_at(api_base: str, variable: str | None, named: Collection[KeyPair]) -> SecretStr:
    """The key for a control plane.

    Args:
        api_base: The control plane's URL.
        variable: Name of the environment variable with the key; None if none is named.
        named: Pairs of server and variable that are allowed.

    Raises:
        ConfigError: no key may be sent there, or the variable is unset.
    """
    allowed = key_for(api_base, variable, named)
    if not allowed:
        raise ConfigError(
            f"no key goes to {origin_of(api_base) or 'what is no URL'} unless its variable is "
            "named for it: --api-key-env (api_key_env)"
        )
    key = read_key(allowed)
    if key is None:
        raise ConfigError(
            f"environment variable {allowed} is not set: "
            "export it, or name another one with --api-key-env (api_key_env)"
        )
    return key


@asynccontextmanager
async def open_client(
    api_base: str, key: SecretStr, waits: Waits = WAITS
) -> AsyncIterator[ControlClient]:
    """Open a client for one control plane.

    Raises:
        ConfigError: `api_base` is not the http URL of a server.
    """
    if not is_bare(api_base):  # the message does not quote it: it may hold a password
        raise ConfigError("the control plane's URL must be like https://api.fireworks.ai")
    async with open_session(_MOST_CONNECTIONS) as session:
        yield ControlClient(session, api_base.rstrip("/"), key, waits)
