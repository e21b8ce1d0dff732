"""One client that a user would take instead, in a process and an environment of its own.

`python clients.py SPEC`, SPEC being the JSON of a `Task`; it prints the JSON of a `Made`. It needs
litellm, openai, tenacity and aiohttp, and nothing of this project.
"""

import asyncio  # noqa: TID251 - as the rivals do
import base64
import json
import os
import sys
import time
import warnings
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any

_OK = 200

Content = list[dict[str, Any]]
Ask = Callable[[Content], Awaitable[str]]


@dataclass(frozen=True, kw_only=True)
class Task:
    """What one client is to do.

    Attributes:
        places: What each deployment takes at once, its queue included: only the oracle looks.
        in_flight: Requests at once, over all deployments, for those that cannot find it out.
        max_attempts: For each clip.
    """

    client: str
    base_urls: tuple[str, ...]
    places: tuple[int, ...]
    folder: str
    clips: int
    in_flight: int
    max_attempts: int
    timeout_s: float


@dataclass
class Made:
    """What came of it; times in seconds from the first request."""

    captions_s: list[float] = field(default_factory=list)
    empty: int = 0
    lost: int = 0
    seconds: float = 0.0


class UselessAnswerError(Exception):
    """An answer that is no caption."""


def contents(folder: Path) -> Iterator[Content]:
    """What is asked of each clip; clips take turns."""
    prepared = []
    for video in sorted(folder.glob("*.mp4")):
        parts: Content = [{"type": "text", "text": "Describe the video."}]
        url = "data:video/mp4;base64," + base64.b64encode(video.read_bytes()).decode()
        prepared.append([*parts, {"type": "video_url", "video_url": {"url": url}}])
    return cycle(prepared)


def messages(content: Content) -> list[dict[str, Any]]:
    """The whole conversation."""
    return [{"role": "user", "content": content}]


def litellm_router(task: Task) -> Ask:
    """LiteLLM's Router without cooldowns, retrying at once: the settings that did best."""
    import litellm  # noqa: PLC0415 - each client needs its own

    litellm.suppress_debug_info = True
    router = litellm.Router(
        model_list=[
            {
                "model_name": "m",
                "litellm_params": {
                    "model": "openai/m",
                    "api_base": url,
                    "api_key": "none",
                    "max_retries": 0,
                },
            }
            for url in task.base_urls
        ],
        routing_strategy="simple-shuffle",
        num_retries=task.max_attempts - 1,
        retry_after=0,
        disable_cooldowns=True,
        timeout=task.timeout_s,
    )

    async def ask(content: Content) -> str:
        answer = await router.acompletion(model="m", messages=messages(content), max_tokens=64)
        return answer.choices[0].message.content or ""

    return ask


def openai_round_robin(task: Task) -> Ask:
    """The openai package, one client a deployment in turn, with its own retries."""
    import openai  # noqa: PLC0415 - each client needs its own

    clients = cycle(
        openai.AsyncOpenAI(
            base_url=url, api_key="none", max_retries=task.max_attempts - 1, timeout=task.timeout_s
        )
        for url in task.base_urls
    )

    async def ask(content: Content) -> str:
        answer = await next(clients).chat.completions.create(
            model="m", messages=messages(content), max_tokens=64
        )
        return answer.choices[0].message.content or ""

    return ask


def aiohttp_tenacity(task: Task) -> Ask:
    """Bare aiohttp, the deployment with the fewest requests out, tenacity's jittered back-off."""
    import aiohttp  # noqa: PLC0415 - each client needs its own
    import tenacity  # noqa: PLC0415 - each client needs its own

    out = dict.fromkeys(task.base_urls, 0)
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        timeout=aiohttp.ClientTimeout(total=task.timeout_s),
    )

    @tenacity.retry(
        stop=tenacity.stop_after_attempt(task.max_attempts),
        wait=tenacity.wait_random_exponential(multiplier=0.5, max=10),
    )
    async def ask(content: Content) -> str:
        url = min(out, key=out.__getitem__)
        out[url] += 1
        try:
            return await posted(session, url, content)
        finally:
            out[url] -= 1

    return ask


def oracle(task: Task) -> Ask:
    """Bare aiohttp that was given the capacity of each deployment, and asks again at once."""
    import aiohttp  # noqa: PLC0415 - each client needs its own

    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
    free: asyncio.PriorityQueue[tuple[float, int, str]] = asyncio.PriorityQueue()
    for url, places in zip(task.base_urls, task.places, strict=True):
        for number in range(places):
            free.put_nowait((number / places, number, url))

    async def ask(content: Content) -> str:
        for _ in range(10 * task.max_attempts):
            place = await free.get()
            try:
                return await posted(session, place[2], content)
            except (aiohttp.ClientError, UselessAnswerError, OSError):
                continue
            finally:
                free.put_nowait(place)
        raise UselessAnswerError

    return ask


async def posted(session: Any, url: str, content: Content) -> str:
    """The caption of one request.

    Raises:
        UselessAnswerError: there is none.
    """
    body = {"model": "m", "messages": messages(content), "max_tokens": 64}
    async with session.post(f"{url}/chat/completions", json=body) as response:
        if response.status != _OK:
            raise UselessAnswerError
        try:
            text = json.loads(await response.read())["choices"][0]["message"]["content"]
        except (ValueError, KeyError, TypeError, IndexError):
            raise UselessAnswerError from None
    if not text:
        raise UselessAnswerError
    return text


CLIENTS: dict[str, Callable[[Task], Ask]] = {
    "litellm": litellm_router,
    "openai": openai_round_robin,
    "tenacity": aiohttp_tenacity,
    "oracle": oracle,
}


async def run(task: Task) -> Made:
    """Caption all clips."""
    media = contents(Path(task.folder))
    ask, made = CLIENTS[task.client](task), Made()
    most = sum(task.places) if task.client == "oracle" else task.in_flight
    places = asyncio.Semaphore(most)
    started_s = time.monotonic()

    async def caption(content: Content) -> None:
        async with places:
            try:
                text = await ask(content)
            except Exception:  # noqa: BLE001 - whatever a package raises, the clip is lost
                made.lost += 1
                return
        made.empty += not text
        made.captions_s.append(time.monotonic() - started_s)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(task.clips):
            tasks.create_task(caption(next(media)))
    made.seconds = time.monotonic() - started_s
    return made


async def main() -> None:
    """Print what came of a task, and end at once.

    Sessions and tasks that a package keeps are not what is measured, and LiteLLM's logging outlives
    being cancelled, for ever.
    """
    spec = json.loads(sys.argv[1])
    spec["base_urls"], spec["places"] = tuple(spec["base_urls"]), tuple(spec["places"])
    outcome = await run(Task(**spec))
    sys.stdout.write("\n" + json.dumps(asdict(outcome)) + "\n")
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    asyncio.run(main())
