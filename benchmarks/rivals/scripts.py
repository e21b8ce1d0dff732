"""What a user would write instead: the guide's example around ffmpeg, with requests beside it.

`python -m benchmarks.rivals.scripts WAY FOLDER OUT FFMPEG URL ...` captions the videos of a folder,
and writes one JSON line for each that got a caption. WAY is `threads-2` or `threads-8`, a thread
pool that runs ffmpeg and waits for the answer, or `asyncio`, which does both in eight tasks. A
request that fails loses its clip, as in the example.
"""

import argparse
import asyncio  # noqa: TID251 - what users write
import base64
import json
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks import guide

TASKS = 8
TIMEOUT_S = 300.0
PROMPT = "Describe this video in detail."


def main() -> None:
    """Caption the folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("way", choices=["threads-2", "threads-8", "asyncio"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("ffmpeg")
    parser.add_argument("urls", nargs="+")
    asked = parser.parse_args()
    jobs = list(zip(sorted(asked.folder.iterdir()), cycle(asked.urls), strict=False))
    if asked.way == "asyncio":
        found = asyncio.run(in_tasks(asked.ffmpeg, jobs))
    else:
        found = list(in_threads(asked.ffmpeg, jobs, int(asked.way.rpartition("-")[2])))
    asked.out.write_text("".join(f"{json.dumps(line)}\n" for line in found))


def in_threads(ffmpeg: str, jobs: list[tuple[Path, str]], threads: int) -> Iterator[dict[str, str]]:
    """Every thread prepares a video, and waits for its caption."""

    def caption(film: Path, url: str) -> dict[str, str]:
        with tempfile.TemporaryDirectory() as name:
            for command in commands(ffmpeg, film, Path(name)):
                subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True)
            body = body_of(Path(name))
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{url}/chat/completions", body, headers)  # noqa: S310
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
            return line_of(film, json.load(answer))

    with ThreadPoolExecutor(threads) as pool:
        for each in [pool.submit(caption, *job) for job in jobs]:
            try:
                yield each.result()
            except Exception as error:  # noqa: BLE001 - as a script would
                print(repr(error), file=sys.stderr)


async def in_tasks(ffmpeg: str, jobs: list[tuple[Path, str]]) -> list[dict[str, str]]:
    """Tasks that run ffmpeg as subprocesses, and ask with aiohttp."""
    free = asyncio.Semaphore(TASKS)
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)

    async with aiohttp.ClientSession(timeout=timeout, raise_for_status=True) as session:

        async def caption(film: Path, url: str) -> dict[str, str]:
            async with free:
                with tempfile.TemporaryDirectory() as name:
                    for command in commands(ffmpeg, film, Path(name)):
                        process = await asyncio.create_subprocess_exec(
                            *command, stdin=asyncio.subprocess.DEVNULL
                        )
                        if await process.wait():
                            raise RuntimeError(f"ffmpeg failed of {film}")
                    body = body_of(Path(name))
                headers = {"Content-Type": "application/json"}
                target = f"{url}/chat/completions"
                async with session.post(target, data=body, headers=headers) as answer:
                    return line_of(film, await answer.json())

        each = await asyncio.gather(*(caption(*job) for job in jobs), return_exceptions=True)
    return [one for one in each if isinstance(one, dict)]


def commands(ffmpeg: str, film: Path, folder: Path) -> list[list[str]]:
    """The guide's two."""
    start = [ffmpeg, "-v", "error", "-y", "-i", str(film)]
    return [
        [*start, *guide.VIDEO, str(folder / "v.mp4")],
        [*start, *guide.AUDIO, str(folder / "a.ogg")],
    ]


def body_of(folder: Path) -> bytes:
    """The request for what was prepared."""
    video, audio = (base64.b64encode((folder / name).read_bytes()).decode() for name in
                    ("v.mp4", "a.ogg"))  # fmt: skip
    content = [
        {"type": "video_url", "video_url": {"url": f"data:video/mp4;base64,{video}"}},
        {"type": "audio_url", "audio_url": {"url": f"data:audio/ogg;base64,{audio}"}},
        {"type": "text", "text": PROMPT},
    ]
    messages = [{"role": "user", "content": content}]
    return json.dumps({"model": "m", "messages": messages, "max_tokens": 500}).encode()


def line_of(film: Path, answer: dict[str, Any]) -> dict[str, str]:
    """What is written of an answer; a caption that is empty is none.

    Raises:
        ValueError: there is no caption.
    """
    text = answer["choices"][0]["message"]["content"]
    if not text:
        raise ValueError(film.name)
    return {"file": film.name, "caption": text}


if __name__ == "__main__":
    main()
