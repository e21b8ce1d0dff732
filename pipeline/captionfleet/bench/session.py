"""Runs a bench: each deployment by itself, one load after the other (main process)."""

import os
import secrets
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TextIO

import anyio.to_thread
import orjson

from captionfleet.bench.drive import Load, Rules, put_under_load, ramp_after
from captionfleet.bench.figures.knee import Search
from captionfleet.bench.figures.point import Point
from captionfleet.bench.figures.result import BenchResult, DeploymentResult, brief
from captionfleet.bench.gauge import Gauge
from captionfleet.bench.in_turn import in_turn
from captionfleet.bench.machine import machine_facts
from captionfleet.bench.media import Generated, Media, open_media
from captionfleet.config import DeploymentConfig, JobConfig
from captionfleet.deployment.costs import standing_costs, state_of
from captionfleet.errors import OutputError, RunError, first_run_error
from captionfleet.ledger.files.disk import replace_atomically
from captionfleet.messages import ReadyClip, printable
from captionfleet.sender import Fleet, open_fleet
from captionfleet.sender.client import DeploymentClient
from captionfleet.sender.sent import as_sent
from captionfleet.system.regular_file import open_regular
from captionfleet.telemetry import Tally, has_width, show_pictures, utc_now

__all__ = ["Bench", "run_bench"]

_RATE_SHARES = (0.5, 0.7, 0.8, 0.9, 1.0)
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What to measure.

    Attributes:
        in_flight: Fixed loads; without any, the knee is searched.
        arrivals_per_s: Open-loop loads after that, in requests per second.
        arrivals_around_knee: Whether to add open-loop loads at 50 to 100 % of the knee's rate.
    """

    job: JobConfig
    out: Path
    in_flight: tuple[int, ...] = ()
    arrivals_per_s: tuple[float, ...] = ()
    arrivals_around_knee: bool = False
    rules: Rules = field(default_factory=Rules)
    generated: Generated
    sample: int = 32


async def run_bench(
    bench: Bench, tell: Tell, conclude: Callable[[BenchResult], None], progress: TextIO | None
) -> None:
    """Measure every deployment, and write the result after each load.

    Args:
        bench: What to measure.
        tell: Called with a line about each load and event.
        conclude: Called with the result at the end, even an early one.
        progress: Shows what is measured now, if it is a terminal.

    Raises:
        RunError: the job cannot be used, no deployment answers, or nothing can be written.
    """
    await anyio.to_thread.run_sync(_check_writable, bench.out)
    problem: RunError | None = None
    results: list[BenchResult] = []
    terminal = progress if progress is not None and has_width(progress) else None
    try:
        async with open_fleet(_with_ceiling(bench), Tally()) as fleet:
            await fleet.check()
            tell("preparing the clips to send")
            gauge = Gauge()
            media = open_media(
                bench.job, bench.generated, gauge, sample=bench.sample, seed=bench.rules.seed
            )
            async with show_pictures(gauge.look, terminal, leave=False), media as prepared:
                results.append(_begun(bench, prepared))
                await _measure_all(bench, fleet, prepared, tell, results[-1], gauge)
    except* RunError as group:
        problem = first_run_error(group)
    finally:
        for result in results:
            conclude(result)
    if problem is not None:
        raise problem


def _with_ceiling(bench: Bench) -> JobConfig:
    deployments = tuple(
        one.model_copy(update={"max_in_flight": bench.rules.ceiling})
        for one in bench.job.deployments
    )
    return bench.job.model_copy(update={"deployments": deployments})


async def _measure_all(  # noqa: PLR0913, PLR0917 - what run_bench holds
    bench: Bench, fleet: Fleet, media: Media, tell: Tell, result: BenchResult, gauge: Gauge
) -> None:
    asked = in_turn(media.ready, bench.job)
    for name, client in fleet.clients.items():
        result.deployments.append(DeploymentResult(name, fleet.deployments[name].model))
        sent = _sent(asked, fleet.deployments[name])
        await _Measuring(bench, client, sent, result, tell, gauge).run()
    result.is_complete = True
    await _save(result, bench.out)
    for deployment in bench.job.deployments:
        if (state := await state_of(deployment)) is not None:
            tell(standing_costs(state))


class _Measuring:
    """The measurement of one deployment."""

    def __init__(  # noqa: PLR0913, PLR0917 - as above
        self,
        bench: Bench,
        client: DeploymentClient,
        clips: Sequence[ReadyClip],
        result: BenchResult,
        tell: Tell,
        gauge: Gauge,
    ) -> None:
        self._gauge = gauge
        self._bench = bench
        self._client = client
        self._clips = clips
        self._result = result
        self._own = result.deployments[-1]
        self._tell = tell

    async def run(self) -> None:
        bench = self._bench
        if not bench.in_flight:
            await self._seek_knee()
        held = [Load(in_flight=min(n, bench.rules.ceiling)) for n in bench.in_flight]
        rates = (*bench.arrivals_per_s, *self._around_knee())
        for load in (*held, *(Load(arrivals_per_s=rate) for rate in rates)):
            if self._own.is_gone:
                return
            await self._point(load)

    async def _seek_knee(self) -> None:
        search = Search(self._bench.rules.ceiling)
        while (wanted := search.wanted) is not None and not self._own.is_gone:
            point = await self._point(Load(in_flight=wanted))
            restarts = search.restarts
            search.add(point.clips_per_s, error_share=point.error_share)
            self._own.knee = search.knee()
            if search.restarts > restarts:
                self._own.changed_at = len(self._own.points) - 1
        await _save(self._result, self._bench.out)

    def _around_knee(self) -> list[float]:
        knee = self._own.knee
        if knee is None or not self._bench.arrivals_around_knee:
            return []
        return [share * knee.clips_per_s for share in _RATE_SHARES if knee.clips_per_s]

    async def _point(self, load: Load) -> Point:
        before = self._own.points[-1] if self._own.points else None
        load = replace(load, ramp_s=ramp_after(before))
        self._gauge.deployment = self._own.name
        point = await put_under_load(
            self._client, self._clips, load, self._bench.rules, self._gauge
        )
        self._own.points.append(point)
        self._tell(f"{self._own.name}: {brief(point)}")
        await _save(self._result, self._bench.out)
        return point


def _sent(clips: Sequence[ReadyClip], deployment: DeploymentConfig) -> list[ReadyClip]:
    return [as_sent(one, deployment) for one in clips]


def _begun(bench: Bench, media: Media) -> BenchResult:
    """The result before anything is measured; the payload is the mean over all deployments."""
    request = bench.job.asked[0]
    sent = [clip for one in bench.job.deployments for clip in _sent(media.ready, one)]
    return BenchResult(
        seed=bench.rules.seed,
        started_at_utc=utc_now(),
        machine=machine_facts(),
        media={
            "clips": len(media.ready),
            "failed": media.failed,
            "of_files": media.of_files,
            "generated": None if media.of_files is not None else asdict(bench.generated),
            "clip_s": media.clip_s,
            "payload_bytes": sum(one.facts.payload_bytes for one in sent) / len(sent),
        },
        settings={
            "rules": asdict(bench.rules),
            "segments": bench.job.input.segments,
            "overlap_s": bench.job.input.overlap_s,
            "max_seconds": bench.job.media.max_seconds,
            "stream": request.stream,
            "max_tokens": request.max_tokens,
            "prompt": request.prompt,
            "requests": [one.name for one in bench.job.asked],
        },
        prepare=None
        if media.prepare_s is None
        else {
            "seconds_per_clip": media.prepare_s,
            "clips": len(media.ready),
            "clip_s": media.clip_s,
        },
    )


async def _save(result: BenchResult, path: Path) -> None:
    await anyio.to_thread.run_sync(_write, orjson.dumps(result.as_dict(), option=_OPTIONS), path)


_OPTIONS = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE


def _check_writable(path: Path) -> None:
    """Fail before measuring if the result could not be saved; keeps an existing file."""
    if path.is_dir():
        raise OutputError(f"--out {printable(str(path))}: is a folder; name a file")
    trial = path.with_name(f".{path.name}.{secrets.token_hex(8)}.new")
    try:
        os.close(open_regular(trial, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        trial.unlink()
    except OSError as error:
        raise OutputError(f"--out {printable(str(path))}: {error.strerror}") from None


def _write(content: bytes, path: Path) -> None:
    replace_atomically(path, iter([content]))
