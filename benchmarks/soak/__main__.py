"""Caption 2,000 clips through three deployments that misbehave, and interrupt that again and again.

Run from the checkout: `python -m benchmarks.soak [--minutes M] [--clips N] [--seed S]`. Two
SIGHUPs, a SIGTERM and a kill -9 fall into the run, which the same command goes on with. At the
end there has to be one line for each clip, each with the caption of the media that the line names,
and no usable answer twice but those on their way at the kill. Exit code 1: that is not so.
"""

import argparse
import json
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio

from benchmarks.figures import Figure, at_least, at_most
from benchmarks.soak.modes import REFUSAL
from benchmarks.soak.proxy import Proxy, proxied
from benchmarks.standins import flags, standins
from captionfleet.bench.machine import machine_facts
from tests.support.command import Command, Running
from tests.support.job_file import write_job
from tests.support.tiny_films import write_tiny_films

RESULTS = Path(__file__).parents[1] / "results" / "soak.json"
SLOTS = (4, 8, 12)
INTERRUPTIONS = (signal.SIGHUP, signal.SIGTERM, signal.SIGKILL, signal.SIGHUP)
AT = (0.15, 0.35, 0.55, 0.75)  # of all clips, captioned by then
LAST_RUNS = 8  # at most, for clips that a refusal or a misfortune left without a caption
WITHIN_S = 3600.0
_LOOK_S = 0.2
_WRITTEN_S = 0.5  # within which an answer that has come stands in its line


def main(clips: int, minutes: float, seed: int, results: Path) -> int:
    """Print the figures and keep them."""
    kept = anyio.run(soaked, clips, minutes, seed)
    for figure in kept["figures"]:
        verdict = "" if figure["is_met"] else "   MISSED"
        print(f"{figure['name']}: {figure['value']:g} ({figure['target']}){verdict}")
    results.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")
    return int(not all(figure["is_met"] for figure in kept["figures"]))


async def soaked(clips: int, minutes: float, seed: int) -> dict[str, Any]:
    """What came of one soak."""
    machine = machine_facts()
    service_s = 0.5 * 60 * minutes * sum(SLOTS) / clips  # half of the time is for what goes wrong
    own = [
        flags(slots=slots, max_queue=4, service_time_s=service_s, service_time_jitter=0.3)
        for slots in SLOTS
    ]
    with tempfile.TemporaryDirectory() as name, standins(*own) as behind:
        folder = Path(name)
        write_tiny_films(folder / "videos", clips)
        async with AsyncExitStack() as stack:
            proxies = [
                await stack.enter_async_context(proxied(one.port, 10 * seed + number))
                for number, one in enumerate(behind)
            ]
            soak = Soak(folder, clips, proxies)
            await soak.run()
            figures = soak.figures()
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "machine": machine,
        "clips": clips,
        "seed": seed,
        "figures": list(map(asdict, figures)),
        "modes": dict(sum((proxy.modes for proxy in proxies), Counter[str]()).most_common()),
        "runs": soak.runs,
    }


class Soak:
    """One folder, filled by as many runs as it takes."""

    def __init__(self, folder: Path, clips: int, proxies: Sequence[Proxy]) -> None:
        self.folder, self.clips, self.proxies = folder, clips, proxies
        self.runs: list[str] = []
        self.in_flight_at_kill = 0
        self._command = Command(folder)
        urls = [f"http://127.0.0.1:{proxy.port}/v1" for proxy in proxies]
        tables = {"request": {"max_attempts": 10, "timeout_s": 60}}
        job = write_job(folder / "job.toml", *urls, tables=tables, max_in_flight=32, adaptive=True)
        self._words = ("run", "videos", "--job", job, "--store", "store", "--out", "out", "--quiet")

    async def run(self) -> None:
        """All interruptions, and then runs until every clip has its caption."""
        for number, (interruption, share) in enumerate(zip(INTERRUPTIONS, AT, strict=True)):
            streams = ["--stream"] if number % 2 else []
            async with self._command.started(*self._words, *streams) as running:
                most = max(round(share * self.clips), len(self.lines()) + 5)
                await self._until(running, most)
                await self._interrupt(running, interruption)
        for _ in range(LAST_RUNS):
            ended = await self._command(*self._words, "--retry-failed", within_s=WITHIN_S)
            self._note(ended.exit_code)
            if ended.exit_code == 0:
                return

    async def _until(self, running: Running, captions: int) -> None:
        with anyio.fail_after(WITHIN_S):
            # Lines in a file are all that there is to see.
            while len(self.lines()) < captions and running.process.returncode is None:  # noqa: ASYNC110
                await anyio.sleep(_LOOK_S)

    async def _interrupt(self, running: Running, interruption: signal.Signals) -> None:
        if interruption is signal.SIGKILL:
            before = self._delivered()
            await anyio.sleep(_WRITTEN_S)
            self.in_flight_at_kill = sum(proxy.busy for proxy in self.proxies)
            self.in_flight_at_kill += self._delivered() - before
            running.signal_group(interruption)
            with anyio.fail_after(WITHIN_S):
                self._note(await running.process.wait())
        else:
            running.send(interruption)
            self._note((await running.ended(WITHIN_S)).exit_code)

    def _note(self, exit_code: int) -> None:
        said = f"exit code {exit_code}, {len(self.lines())} captions"
        print(f"  {said}", flush=True)
        self.runs.append(said)

    def _delivered(self) -> int:
        return sum(proxy.delivered.total() for proxy in self.proxies)

    def lines(self) -> list[bytes]:
        """The whole lines of captions.jsonl."""
        path = self.folder / "out" / "captions.jsonl"
        return path.read_bytes().split(b"\n")[:-1] if path.exists() else []

    def figures(self) -> list[Figure]:
        """What has to hold."""
        lines = [json.loads(line) for line in self.lines()]
        per_clip = Counter(line["clip_id"] for line in lines)
        wrong = sum(not _names_its_media(line) for line in lines)
        media = Counter(line["media"]["video_sha256"] for line in lines)
        delivered = sum((proxy.delivered for proxy in self.proxies), Counter[str]())
        unasked = delivered.total() - len(lines)
        return [
            at_least("clips with a line, of all", len(per_clip) / self.clips, 1.0),
            at_most("lines of one clip", max(per_clip.values()), 1),
            at_most("captions of other media than the line names", wrong, 0),
            at_most("media that stand in two lines", max(media.values()), 1),
            at_most(
                f"usable answers beyond one a clip ({self.in_flight_at_kill} were on their way "
                "at the kill)", unasked, self.in_flight_at_kill,
            ),
        ]  # fmt: skip


def _names_its_media(line: dict[str, Any]) -> bool:
    """Whether the caption quotes the media that the line names; a model's refusal quotes none."""
    if line["caption"] == REFUSAL and "refused" in line["flags"].split():
        return True
    return line["media"]["video_sha256"] in line["caption"]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--clips", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, default=RESULTS)
    asked = parser.parse_args()
    sys.exit(main(asked.clips, asked.minutes, asked.seed, asked.json))
