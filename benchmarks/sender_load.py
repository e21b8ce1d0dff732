"""One client under load, in a process of its own: the sender stage, or bare aiohttp.

The benchmarks of the sender run it as `python -m benchmarks.sender_load SPEC`, SPEC being the
JSON of a `Load`; it prints the JSON of what it `Seen`.
"""

import hashlib
import json
import random
import resource
import subprocess
import sys
import warnings
from collections.abc import AsyncIterator, Iterator
from dataclasses import asdict, dataclass, field, replace
from itertools import cycle
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import pybase64

from captionfleet.config import JobConfig
from captionfleet.messages import (
    Caption,
    Clip,
    MediaFacts,
    Outcome,
    ReadyClip,
    Source,
    base64_bytes,
)
from captionfleet.sender import open_fleet, send
from captionfleet.sender.chat.parts import media_pieces
from captionfleet.sender.chat.request import BodyTemplate, body_template
from captionfleet.telemetry import Tally, monotonic_s

FILES = 64  # clips with media of their own; they are taken in turn
AUDIO_SHARE = 0.1
GRACE_S = 120.0  # for a client that should have ended


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What one client is to do.

    Attributes:
        client: "sender", or "bare" for aiohttp that reads and encodes the same files.
        in_flight: For each deployment; a ceiling where `adaptive`.
        seconds: How long clips are handed out.
        clips: How many are, at most; 0: any number.
    """

    client: str
    base_urls: tuple[str, ...]
    folder: str
    in_flight: tuple[int, ...]
    seconds: float
    clips: int = 0
    media_bytes: int = 1_000_000
    adaptive: bool = False
    max_attempts: int = 10
    timeout_s: float = 60.0


@dataclass(slots=True, kw_only=True)
class Seen:
    """What came of it; times in seconds from the start.

    `captions_s` has an entry for each caption, `captioned_clips` counts the clips they belong to.
    """

    seconds: float = 0.0
    cpu_s: float = 0.0
    max_rss_bytes: int = 0
    clips: int = 0
    captioned_clips: int = 0
    failures: dict[str, int] = field(default_factory=dict)
    wrong_media: int = 0
    max_in_flight: int = 0
    captions_s: list[float] = field(default_factory=list)
    refusals_s: list[float] = field(default_factory=list)
    faults_s: list[float] = field(default_factory=list)
    fleet: list[dict[str, Any]] = field(default_factory=list)

    def captions_per_s(self, from_s: float, to_s: float) -> float:
        """The rate of captions between two times."""
        return sum(from_s < time_s <= to_s for time_s in self.captions_s) / (to_s - from_s)

    def refused_share(self, from_s: float) -> float:
        """The share of 429s among the captions and 429s since then."""
        refused = sum(time_s > from_s for time_s in self.refusals_s)
        return refused / max(refused + sum(time_s > from_s for time_s in self.captions_s), 1)


def start(load: Load) -> "subprocess.Popen[str]":
    """Start a client in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.sender_load", json.dumps(asdict(load))]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)


def seen_by(client: "subprocess.Popen[str]", load: Load) -> Seen:
    """Wait for the end of a client and return what it saw.

    Raises:
        RuntimeError: it failed.
    """
    try:
        told, _ = client.communicate(timeout=load.seconds + load.timeout_s + GRACE_S)
    finally:
        client.kill()
        client.wait()
    if client.returncode:
        raise RuntimeError(f"the {load.client} client ended with {client.returncode}")
    return Seen(**json.loads(told))


def measure(load: Load) -> Seen:
    """Run a client in a process of its own to its end."""
    return seen_by(start(load), load)


def ready_clips(folder: Path, media_bytes: int) -> list[ReadyClip]:
    """Files of random bytes, nine parts video and one part audio, made once for a folder."""
    audio_bytes = max(int(media_bytes * AUDIO_SHARE), 1)
    return [
        _ready(folder, number, media_bytes - audio_bytes, audio_bytes) for number in range(FILES)
    ]


def _ready(folder: Path, number: int, video_bytes: int, audio_bytes: int) -> ReadyClip:
    rng = random.Random(number)  # noqa: S311 - bytes, not secrets
    hashes = []
    paths = (folder / f"{number}-{video_bytes}.mp4", folder / f"{number}-{audio_bytes}.ogg")
    for path, size_bytes in zip(paths, (video_bytes, audio_bytes), strict=True):
        content = rng.randbytes(size_bytes)
        if not path.exists():
            path.write_bytes(content)
        hashes.append(hashlib.sha256(content).hexdigest())
    facts = MediaFacts(
        frames=60,
        width=640,
        height=360,
        has_audio=True,
        audio_s=60.0,
        sampling="exact",
        video_bytes=video_bytes,
        audio_bytes=audio_bytes,
        payload_bytes=base64_bytes(video_bytes, audio_bytes),
        video_sha256=hashes[0],
        audio_sha256=hashes[1],
        source_codec="h264",
        source_width=1920,
        source_height=1080,
        source_s=60.0,
    )
    clip = Clip(str(number), Source(f"{number}.mp4", f"{number}.mp4", 1, 1), 0.0, 60.0)
    video_mtime_ns, audio_mtime_ns = (path.stat().st_mtime_ns for path in paths)
    return ReadyClip(
        clip,
        *paths,
        facts,
        prepare_s=0.0,
        ready_s=0.0,
        video_mtime_ns=video_mtime_ns,
        audio_mtime_ns=audio_mtime_ns,
    )


def job_of(load: Load) -> JobConfig:
    """The job that both clients do."""
    return JobConfig.model_validate(
        {
            "request": {"max_attempts": load.max_attempts, "timeout_s": load.timeout_s},
            "deployments": [
                {
                    "base_url": url,
                    "model": "m",
                    "api_key_env": "",
                    "max_in_flight": in_flight,
                    "adaptive": load.adaptive,
                }
                for url, in_flight in zip(load.base_urls, load.in_flight, strict=True)
            ],
        }
    )


async def run_sender(load: Load, templates: list[ReadyClip], seen: Seen) -> None:
    """The sender stage, fed as fast as it takes."""
    job, tally = job_of(load), Tally()
    ready_out, ready_in = anyio.create_memory_object_stream[ReadyClip](16)
    outcomes_out, outcomes_in = anyio.create_memory_object_stream[Outcome](64)
    started_s = monotonic_s()

    async def feed() -> None:
        async with ready_out:
            for number, template in enumerate(cycle(templates)):
                if monotonic_s() > started_s + load.seconds or number == (load.clips or None):
                    return
                clip = replace(template.clip, clip_id=f"c{number}")
                await ready_out.send(replace(template, clip=clip, ready_s=monotonic_s()))
                seen.clips += 1

    async with open_fleet(job, tally) as fleet:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(feed)
            tasks.start_soon(send, job, fleet, ready_in, outcomes_out, tally)
            await _collect(outcomes_in, seen, started_s)
        seen.fleet = fleet.report()
        seen.max_in_flight = tally.max_in_flight


async def _collect(outcomes_in: AsyncIterator[Outcome], seen: Seen, started_s: float) -> None:
    clips = set()
    async for outcome in outcomes_in:
        for attempt in outcome.attempts:
            if attempt.code is not None:
                seen.faults_s.append(attempt.ended_s - started_s)
            if attempt.status == 429:
                seen.refusals_s.append(attempt.ended_s - started_s)
        if isinstance(outcome, Caption):
            clips.add(outcome.clip.clip_id)
            seen.captions_s.append(outcome.attempts[-1].ended_s - started_s)
            seen.wrong_media += not _names_its_media(outcome)
        else:
            seen.failures[outcome.code] = seen.failures.get(outcome.code, 0) + 1
    seen.captioned_clips = len(clips)


def _names_its_media(caption: Caption) -> bool:
    """Whether the stand-in, which tells the hash of what it got, got this clip's media."""
    facts = caption.facts
    return caption.text.endswith(
        f"video sha256 {facts.video_sha256}\naudio sha256 {facts.audio_sha256}"
    )


async def run_bare(load: Load, templates: list[ReadyClip], seen: Seen) -> None:
    """Bare aiohttp: as many tasks as requests, each a loop; no retry, no check, no limit found."""
    job = job_of(load)
    template = body_template(job.request, job.deployments[0])
    started_s = monotonic_s()
    warnings.filterwarnings("ignore", message="Sending a large body directly")

    async def lane(url: str, media: Iterator[ReadyClip]) -> None:
        for ready in media:
            if monotonic_s() > started_s + load.seconds:
                return
            async with session.post(
                f"{url}/chat/completions",
                data=_body(template, ready),
                headers={"Content-Type": "application/json"},
            ) as response:
                answer = json.loads(await response.read())
            if answer["choices"][0]["message"]["content"]:
                seen.captions_s.append(monotonic_s() - started_s)

    media = cycle(templates)
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
        anyio.create_task_group() as tasks,
    ):
        for url, in_flight in zip(load.base_urls, load.in_flight, strict=True):
            for _ in range(in_flight):
                tasks.start_soon(lane, url, media)
    seen.clips = seen.captioned_clips = len(seen.captions_s)


def _body(template: BodyTemplate, ready: ReadyClip) -> bytes:
    """The whole body in memory; the files are in the page cache, so reading them is a copy."""
    assert ready.audio is not None  # noqa: S101 - made with sound
    media = {"video": ready.video.read_bytes(), "audio": ready.audio.read_bytes()}
    parts = media_pieces(ready.form, ready.facts, with_audio=True)
    return b"".join(
        piece if isinstance(piece, bytes) else pybase64.b64encode(media[piece.medium])
        for piece in template.around(parts)
    )


async def main(load: Load) -> Seen:
    """Put one client under load and measure it."""
    templates = ready_clips(Path(load.folder), load.media_bytes)
    seen = Seen()
    run = run_sender if load.client == "sender" else run_bare
    cpu_s, started_s = _cpu_s(), monotonic_s()
    await run(load, templates, seen)
    seen.seconds, seen.cpu_s = monotonic_s() - started_s, _cpu_s() - cpu_s
    seen.max_rss_bytes = _max_rss_bytes()
    return seen


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _max_rss_bytes() -> int:
    """The most that was resident since the program began (ru_maxrss would count its parent's)."""
    status = Path("/proc/self/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    spec = json.loads(sys.argv[1])
    json.dump(asdict(anyio.run(main, Load(**spec))), sys.stdout)
