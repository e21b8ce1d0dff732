"""The `captionfleet plan` command: reads flags, prints a plan (main process)."""

import math
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path

import anyio
import orjson

from captionfleet.errors import ConfigError
from captionfleet.messages import printable
from captionfleet.plan.bench import read_bench
from captionfleet.plan.flags import Gpu, PlanFlags
from captionfleet.plan.lines import read_lines, read_measured_run
from captionfleet.plan.model.ahead import prepared_ahead
from captionfleet.plan.model.fit import fit_run
from captionfleet.plan.model.predict import Pricing
from captionfleet.plan.model.reference import Library, Reference
from captionfleet.plan.model.search import Limits, Verdict, make_plan
from captionfleet.plan.model.times import parse_within, seconds_until
from captionfleet.plan.model.wording import Answer
from captionfleet.plan.probing import probe_library
from captionfleet.profiles.prices import GPU_PRICES, PRICES_OF

__all__ = ["plan_command"]


_GPUS: dict[Gpu, str] = {
    "A100": "A100 80GB",
    "H100": "H100 80GB",
    "H200": "H200 141GB",
    "B200": "B200 180GB",
}
_MOST_CLIPS = 10**9
_MOST_REPLICAS, _MOST_CORES, _MOST_GPUS = 1024, 100_000, 1024
_MOST_USD = 1e6
_LONGEST_START_S = 86_400.0
_LEAST = 1e-3
_HOUR_S = 3600.0


def plan_command(*sources: Path, flags: PlanFlags) -> int:
    """Estimate replicas, cores, hours, tokens and dollars for a library.

    It simulates the run from measurements of a finished run or a benchmark. A range holds four of
    five outcomes, and limits are kept at its high end. Exit codes: 0 the limits can be kept, 1 they
    cannot and the nearest plan is shown, 2 bad arguments.

    Args:
        sources: What to caption: files, folders and lists.
        flags: The others.
    """
    now = datetime.now().astimezone()
    limits = _limits(
        flags.by,
        flags.within,
        flags.max_replicas,
        flags.replicas,
        flags.max_cores,
        flags.cores,
        flags.max_cost,
        now,
    )
    pricing, price_note = _pricing(
        flags.price_per_gpu_hour, flags.gpu, flags.gpus_per_replica, flags.cold_start_s
    )
    count = _counted(sources, flags)
    reference = _reference(flags.from_, flags.deployment)
    library = count(reference)
    plan = make_plan(reference, library, limits, pricing)
    answer = Answer(
        plan=plan,
        reference=reference,
        library=library,
        limits=limits,
        pricing=pricing,
        price_note=price_note,
        now=now,
        ahead=prepared_ahead(reference, library, plan.chosen, pricing),
    )
    sys.stdout.write(_as_json(answer) if flags.json else f"{answer.text()}\n")
    return int(answer.plan.verdict is not Verdict.KEPT)


def _as_json(answer: Answer) -> str:
    options = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    return orjson.dumps(answer.as_dict(), option=options).decode()


def _limits(  # noqa: PLR0913, PLR0917 - the flags that limit a plan
    by: str | None,
    within: str | None,
    max_replicas: int | None,
    replicas: int | None,
    max_cores: int | None,
    cores: int | None,
    max_cost: float | None,
    now: datetime,
) -> Limits:
    _forbid_both("--by", by, "--within", within)
    _forbid_both("--replicas", replicas, "--max-replicas", max_replicas)
    _forbid_both("--cores", cores, "--max-cores", max_cores)
    whole = {"replicas": replicas, "max-replicas": max_replicas}
    for name, number in whole.items():
        _require(name, number, 1, _MOST_REPLICAS)
    for name, number in {"cores": cores, "max-cores": max_cores}.items():
        _require(name, number, 1, _MOST_CORES)
    _require("max-cost", max_cost, _LEAST, math.inf)
    return Limits(
        within_s=parse_within(within) if within else seconds_until(by, now) if by else None,
        max_usd=max_cost,
        replicas=replicas,
        max_replicas=max_replicas,
        cores=cores,
        max_cores=max_cores,
    )


def _forbid_both(first: str, one: object, second: str, other: object) -> None:
    if one is not None and other is not None:
        raise ConfigError(f"{first} and {second}: give one of them")


def _require(name: str, number: float | None, least: float, most: float) -> None:
    if number is not None and not (least <= number <= most and number < math.inf):
        bounds = f"from {least:g} to {most:g}" if most < math.inf else f"of {least:g} or more"
        raise ConfigError(f"--{name} {number:g}: give a number {bounds}")


def _pricing(price: float | None, gpu: Gpu, gpus: int, cold_start_s: float) -> tuple[Pricing, str]:
    _require("price-per-gpu-hour", price, 0, _MOST_USD)
    _require("gpus-per-replica", gpus, 1, _MOST_GPUS)
    _require("cold-start-s", cold_start_s, 0, _LONGEST_START_S)
    if price is not None:
        note = f"at ${price:.2f} per GPU-hour as given"
    else:
        price = GPU_PRICES[_GPUS[gpu]].usd_per_hour
        note = f"at ${price:.2f} per GPU-hour ({_GPUS[gpu]}, list price of {PRICES_OF})"
    pricing = Pricing(usd_per_gpu_hour=price, gpus_per_replica=gpus, cold_start_s=cold_start_s)
    return pricing, note


def _counted(sources: tuple[Path, ...], flags: PlanFlags) -> Callable[[Reference], Library]:
    """How to count the library, once the reference is known."""
    clips, hours, clip_seconds = flags.clips, flags.hours, flags.clip_seconds
    given = [bool(sources), clips is not None, hours is not None]
    if sum(given) > 1:
        raise ConfigError("SOURCES, --clips and --hours exclude each other: give one of them")
    if not any(given):
        raise ConfigError("nothing to plan for: give SOURCES, --clips N or --hours H")
    _require("clips", clips, 1, _MOST_CLIPS)
    _require("hours", hours, _LEAST, _MOST_CLIPS)
    if sources and clip_seconds is not None:
        raise ConfigError("--clip-seconds: SOURCES have lengths of their own")
    if not sources and flags.segments is not None:
        raise ConfigError("--segments: name SOURCES, whose films it cuts")

    def count(reference: Reference) -> Library:
        if sources:
            cutting = reference.cutting
            if flags.segments is not None:
                cutting = replace(cutting, segments=flags.segments)
            probe = partial(
                probe_library, sources, max_seconds=reference.max_seconds, cutting=cutting
            )
            return anyio.run(probe)
        _require("clip-seconds", clip_seconds, _LEAST, reference.max_seconds)
        number = clips
        if number is None:
            each_s = clip_seconds or reference.mean_seconds
            number = round((hours or 0.0) * _HOUR_S / max(each_s, _LEAST))
            _require("hours: number of clips", number, 1, _MOST_CLIPS)
        return Library.like(reference, number, clip_seconds)

    return count


def _reference(path: Path, deployment: str | None) -> Reference:
    if path.is_dir():
        run, label = read_measured_run(path), printable(os.fspath(path))
        reference = fit_run(label, run, read_lines(path), apart=deployment is not None)
    else:
        reference = read_bench(path)
    return reference if deployment is None else _like_one(reference, deployment)


def _like_one(reference: Reference, name: str) -> Reference:
    own = tuple(one for one in reference.profiles if name in one.names)
    if not own:
        known = ", ".join(known for one in reference.profiles for known in one.names)
        raise ConfigError(f"--deployment {name}: the reference has {known}")
    return replace(reference, profiles=own)
