"""The `captionfleet bench` command: reads flags, runs the bench, prints results (main process)."""

import sys
from collections.abc import Mapping
from pathlib import Path

import anyio

from captionfleet.bench.drive import Rules
from captionfleet.bench.figures.point import Goal
from captionfleet.bench.figures.result import BenchResult
from captionfleet.bench.flags import BenchFlags
from captionfleet.bench.media import Generated
from captionfleet.bench.session import Bench, run_bench
from captionfleet.config import JobConfig, job_from_flags
from captionfleet.errors import ConfigError
from captionfleet.system.standard_streams import do_not_wait_for_readers
from captionfleet.telemetry import configure_logging, print_above

__all__ = ["bench_command"]


def bench_command(*sources: Path, flags: BenchFlags = BenchFlags()) -> int:  # noqa: B008 - frozen
    """Measure deployments, one after the other.

    Exit codes: 0 measured; 1 a deployment gave no caption at its last load; 2 bad job file or
    arguments; 3 the result cannot be written; 4 no deployment gave any; 130/143 ended by a signal,
    with the results so far.

    Args:
        sources: Files, folders and lists to sample clips from; without any, clips are generated.
        flags: The others.
    """
    settled = job_from_flags(
        flags.job,
        {
            "input": {
                "sources": list(sources) or None,
                "settle_s": 0,
                "only_request": flags.only_request,
            },
            "request": {
                "prompt": flags.prompt,
                "max_tokens": flags.max_tokens,
                "stream": flags.stream,
                "timeout_s": flags.timeout_s,
            },
            "store": {"dir": flags.store},
        },
        base_urls=flags.base_url or (),
        models=flags.model or (),
        each_deployment={"server": flags.server, "api_key_env": flags.api_key_env},
    )
    _check(
        flags.max_in_flight,
        flags.in_flight or [],
        flags.rate or [],
        flags.seconds,
        flags.sample,
        flags.generate,
        flags.clip_seconds,
    )
    _check_counts(flags.requests, flags.slo_s, flags.slo_ttft_s)
    bench = _bench(settled, flags)
    configure_logging()
    do_not_wait_for_readers()

    exit_code = 0

    def conclude(result: BenchResult) -> None:
        nonlocal exit_code
        exit_code = result.exit_code
        if any(one.points for one in result.deployments):
            sys.stdout.write(f"{result.text()}\n\nresult: {flags.out}\n")

    tell, progress = (_silence, None) if flags.quiet else (_tell, sys.stderr)
    anyio.run(run_bench, bench, tell, conclude, progress)
    return exit_code


def _bench(settled: JobConfig, flags: BenchFlags) -> Bench:
    return Bench(
        job=settled,
        out=flags.out,
        in_flight=tuple(flags.in_flight or ()),
        arrivals_per_s=tuple(flags.rate or ()),
        arrivals_around_knee=flags.rates_around_knee,
        rules=Rules(
            seconds=flags.seconds,
            requests=flags.requests,
            longest_s=8 * flags.seconds,
            ceiling=flags.max_in_flight,
            goal=Goal(flags.slo_s, flags.slo_ttft_s),
            seed=flags.seed,
        ),
        generated=Generated(flags.generate, flags.clip_seconds, flags.busyness),
        sample=flags.sample,
    )


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
