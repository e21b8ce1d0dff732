"""The stand-in as the openai client sees it: an ordinary server, unless it is to be Fireworks."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import pytest
from pydantic import BaseModel

from captionfleet.standin.options import StandinOptions
from captionfleet.standin.server import Standin, serving
from tests.standin import media
from tests.standin.asking import DEADLINE_S

if TYPE_CHECKING:
    from openai import AsyncOpenAI

pytestmark = pytest.mark.anyio

DEVELOPER = {"role": "developer", "content": "Be brief."}


class Scene(BaseModel):
    """What is asked for as JSON."""

    place: str
    people: int


@asynccontextmanager
async def client(**options: Any) -> AsyncIterator[tuple[Standin, "AsyncOpenAI"]]:
    """A stand-in and OpenAI's client for it."""
    from openai import AsyncOpenAI  # noqa: PLC0415 - takes a second, in every process of tests

    async with serving(StandinOptions(**options)) as standin:
        asking = AsyncOpenAI(base_url=standin.base_url, api_key="any", max_retries=0)
        async with asking as openai:
            with anyio.fail_after(DEADLINE_S):
                yield standin, openai


def messages() -> list[Any]:
    """A developer's words and a film."""
    film = media.mp4([media.plain(64, 36, media.RED)] * 2)
    return [DEVELOPER, *media.body(film, media.ogg())["messages"]]


async def test_whole_answer() -> None:
    """Roles and limits of OpenAI's are taken; the later name of the limit counts."""
    async with client() as (_, openai):
        answer = await openai.chat.completions.create(
            model="any", messages=messages(), max_tokens=500, max_completion_tokens=5
        )
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 5


async def test_streamed_answer_tells_usage_all_along() -> None:
    """`continuous_usage_stats`, as load generators ask of vLLM, puts usage into every chunk."""
    options: Any = {"include_usage": True, "continuous_usage_stats": True}
    async with client() as (_, openai):
        stream = await openai.chat.completions.create(
            model="any", messages=messages(), stream=True, stream_options=options
        )
        chunks = [chunk async for chunk in stream]
    counts = [chunk.usage.completion_tokens for chunk in chunks if chunk.usage]
    assert len([chunk for chunk in chunks if chunk.choices and chunk.usage]) >= 2
    assert counts == sorted(counts)
    assert 0 == counts[0] < counts[-2] <= counts[-1]
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert "video sha256" in text


async def test_parsed_answer() -> None:
    """`.parse()` sends json_schema.strict and gets an object of its class."""
    async with client() as (_, openai):
        answer = await openai.chat.completions.parse(
            model="any", messages=messages(), response_format=Scene
        )
    assert isinstance(answer.choices[0].message.parsed, Scene)


async def test_client_that_blocks() -> None:
    """The client without async, from a thread."""

    def ask(base_url: str) -> str:
        from openai import OpenAI  # noqa: PLC0415 - as above

        with OpenAI(base_url=base_url, api_key="any", max_retries=0, timeout=30) as openai:
            answer = openai.chat.completions.create(model="any", messages=messages())
        return answer.choices[0].message.content or ""

    async with client() as (standin, _):
        assert "video sha256" in await anyio.to_thread.run_sync(ask, standin.base_url)


REFUSED: list[dict[str, Any]] = [
    {"messages": [DEVELOPER]},
    {"max_tokens": 5, "max_completion_tokens": 5},
    {"stream": True, "stream_options": {"continuous_usage_stats": True}},
    {
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "n", "strict": True, "schema": {"type": "object"}},
        }
    },
]


async def test_fireworks_refuses_them() -> None:
    """With `--provider fireworks` each of these is a 400."""
    asked = {"model": "any", "messages": [{"role": "user", "content": "hi"}]}
    async with client(strict=True) as (_, openai):
        for fields in REFUSED:
            from openai import BadRequestError  # noqa: PLC0415 - as above

            with pytest.raises(BadRequestError):
                await openai.chat.completions.create(**(asked | fields))
