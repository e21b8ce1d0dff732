"""A stand-in and a client for it, for the length of one test."""

import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio
import orjson
from aiohttp import ClientResponse, ClientSession

from captionfleet.standin.options import StandinOptions
from captionfleet.standin.server import Standin, serving

DEADLINE_S = 60


@dataclass(frozen=True, slots=True)
class Asker:
    """Sends requests to one stand-in."""

    standin: Standin
    session: ClientSession

    @asynccontextmanager
    async def asked(
        self, body: dict[str, Any] | bytes, headers: dict[str, str] | None = None
    ) -> AsyncIterator[ClientResponse]:
        """Ask for a caption and leave reading the answer to the block."""
        data = io.BytesIO(body if isinstance(body, bytes) else orjson.dumps(body))
        url = f"{self.standin.base_url}/chat/completions"
        async with self.session.post(url, data=data, headers=headers) as response:
            yield response

    async def ask(
        self, body: dict[str, Any] | bytes, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        """Ask for a caption and return status and JSON."""
        async with self.asked(body, headers) as response:
            return response.status, await response.json()


@asynccontextmanager
async def asker(**options: Any) -> AsyncIterator[Asker]:
    """Serve a stand-in for Fireworks, but for these options; the block has a deadline."""
    options = {"strict": True} | options
    async with serving(StandinOptions(**options)) as standin, ClientSession() as session:
        with anyio.fail_after(DEADLINE_S):
            yield Asker(standin, session)


def message(answer: Any) -> str:
    """Return the caption of an answer."""
    text: str = answer["choices"][0]["message"]["content"]
    return text


def events(stream: bytes) -> list[Any]:
    """Return the JSON of a stream's events, without the closing [DONE]."""
    *chunks, done, rest = stream.decode().split("\n\n")
    assert (done, rest) == ("data: [DONE]", "")
    return [orjson.loads(chunk.removeprefix("data: ")) for chunk in chunks]
