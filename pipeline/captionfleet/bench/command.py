"""The `captionfleet bench` command (main process)."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import anyio
from cyclopts import Parameter

from captionfleet.bench.drive import Rules
from captionfleet.bench.figures.point import Goal
from captionfleet.bench.figures.result import BenchResult
from captionfleet.bench.media import Busyness, Generated
from captionfleet.bench.session import Bench, run_bench
from captionfleet.config import job_from_flags
from captionfleet.errors import ConfigError
from captionfleet.profiles.servers import ServerName
from captionfleet.system.standard_streams import do_not_wait_for_readers
from captionfleet.telemetry import configure_logging, print_above

__all__ = ["bench_command"]

_Several = Annotated[list[str] | None, Parameter(negative="")]
_Switch = Annotated[bool, Parameter(negative="")]


def bench_command(  # noqa: PLR0913 - each argument is one flag of the command
    *sources: Path,
    job: Path | None = None,
    base_url: _Several = None,
    model: _Several = None,
    server: ServerName | None = None,
    api_key_env: str | None = None,
    in_flight: Annotated[list[int] | None, Parameter(negative="")] = None,
    rate: Annotated[list[float] | None, Parameter(negative="")] = None,
    rates_around_knee: _Switch = False,
    max_in_flight: Annotated[int, Parameter()] = 256,
    seconds: float = 15.0,
    requests: int = 30,
    slo_s: float | None = None,
    slo_ttft_s: float | None = None,
    sample: int = 32,
    generate: int = 16,
    clip_seconds: float = 60.0,
    busyness: Busyness = "calm",
    prompt: str | None = None,
    max_tokens: int | None = None,
    stream: bool = True,
    timeout_s: Annotated[float | None, Parameter(name=["--timeout-s", "--timeout"])] = None,
    store: Path | None = None,
    seed: int = 0,
    out: Path = Path("bench.json"),
    quiet: _Switch = False,
) -> int:
    """Measure deployments, one after the other.

    Exit codes: 0 measured; 1 a deployment gave no caption at its last load; 2 bad job file or
    arguments; 3 the result cannot be written; 4 no deployment gave any; 130/143 ended by a signal,
    and what was measured until then is told.

    Args:
        sources: Files, folders and lists to draw the clips from; none generates clips.
        job: Job file (TOML): its [media], [request] and [[deployments]], and its sources; by
            default there is none.
        base_url: Where a deployment answers, up to /v1; repeat with --model for several; by default
            the job file's.
        model: The deployment's model string; by default the job file's.
        server: What kind of server that is: it decides whether it gets a video or pictures, and
            sound; by default its host's name does, and unknown ones get a video.
        api_key_env: Name of the environment variable with the key; by default FIREWORKS_API_KEY,
            which goes to Fireworks and to this machine alone unless it is named here.
        in_flight: Requests to keep in flight, repeatable; by default the knee is sought.
        rate: Requests a second that arrive whether or not others were answered, repeatable; by
            default none.
        rates_around_knee: Such arrivals at 50 to 100 % of the knee's rate.
        max_in_flight: Most requests in flight.
        seconds: Steady seconds for each load, at least.
        requests: Requests for each load, at least.
        slo_s: A caption counts as good within so many seconds; by default every one does.
        slo_ttft_s: And with its first token within so many seconds; by default whenever it comes.
        sample: Clips to draw from the sources; too few of them, and a server that caches looks
            faster than it is.
        generate: Clips to generate where there are no sources.
        clip_seconds: Length of generated clips, in seconds.
        busyness: What happens in them, which makes their size.
        prompt: What to ask of every clip; by default the job file's, or to describe what happens in
            it.
        max_tokens: Longest caption, in tokens; 1000 by default.
        stream: Stream answers, which measures the time to the first token.
        timeout_s: Seconds that one request may take; 300 by default.
        store: Folder for prepared media, reused by later runs; by default captionfleet/media in the
            user's cache folder.
        seed: Number that draws the sample, its order and the arrivals.
        out: File for the result (JSON), which `captionfleet plan` reads.
        quiet: Only the summary.
    """
    settled = job_from_flags(
        job,
        {
            "input": {"sources": list(sources) or None, "settle_s": 0},
            "request": {
                "prompt": prompt,
                "max_tokens": max_tokens,
                "stream": stream,
                "timeout_s": timeout_s,
            },
            "store": {"dir": store},
        },
        base_urls=base_url or (),
        models=model or (),
        each_deployment={"server": server, "api_key_env": api_key_env},
    )
    _check(max_in_flight, in_flight or [], rate or [], seconds, sample, generate, clip_seconds)
    _check_counts(requests, slo_s, slo_ttft_s)
    bench = Bench(
        job=settled,
        out=out,
        in_flight=tuple(in_flight or ()),
        arrivals_per_s=tuple(rate or ()),
        arrivals_around_knee=rates_around_knee,
        rules=Rules(
            seconds=seconds,
            requests=requests,
            longest_s=8 * seconds,
            ceiling=max_in_flight,
            goal=Goal(slo_s, slo_ttft_s),
            seed=seed,
        ),
        generated=Generated(generate, clip_seconds, busyness),
        sample=sample,
    )
    configure_logging()
    do_not_wait_for_readers()

    exit_code = 0

    def conclude(result: BenchResult) -> None:
        nonlocal exit_code
        exit_code = result.exit_code
        if any(one.points for one in result.deployments):
            sys.stdout.write(f"{result.text()}\n\nresult: {out}\n")

    tell, progress = (_silence, None) if quiet else (_tell, sys.stderr)
    anyio.run(run_bench, bench, tell, conclude, progress)
    return exit_code


def _tell(words: str) -> None:
    print_above(words, sys.stderr)


def _silence(_words: str) -> None:
    pass


def _check(  # noqa: PLR0913, PLR0917 - what the flags must keep to
    max_in_flight: int,
    in_flight: list[int],
    rates: list[float],
    seconds: float,
    sample: int,
    generate: int,
    clip_seconds: float,
) -> None:
    wrong = {
        "--max-in-flight: 1 to 4096": not 1 <= max_in_flight <= 4096,  # noqa: PLR2004
        f"--in-flight: 1 to {max_in_flight} (--max-in-flight)": any(
            not 1 <= n <= max_in_flight for n in in_flight
        ),
        "--rate: more than 0, at most 10000": any(not 0 < r <= 10_000 for r in rates),  # noqa: PLR2004
        "--seconds: more than 0": not 0 < seconds < 1e6,  # noqa: PLR2004
        "--sample and --generate: 1 to 10000": not (
            1 <= sample <= 10_000 and 1 <= generate <= 10_000  # noqa: PLR2004
        ),
        "--clip-seconds: 1 to 600": not 1 <= clip_seconds <= 600,  # noqa: PLR2004
    }
    _refuse(wrong)


def _check_counts(requests: int, slo_s: float | None, slo_ttft_s: float | None) -> None:
    _refuse(
        {
            "--requests: 1 or more": requests < 1,
            "--slo-s: more than 0": slo_s is not None and not slo_s > 0,
            "--slo-ttft-s: more than 0": slo_ttft_s is not None and not slo_ttft_s > 0,
        }
    )


def _refuse(wrong: Mapping[str, bool]) -> None:
    for words, is_wrong in wrong.items():
        if is_wrong:
            raise ConfigError(words)
