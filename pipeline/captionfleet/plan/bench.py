"""Turns the result of `captionfleet bench` into the reference of a plan (main process)."""

import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import ValidationError

from captionfleet.errors import ConfigError
from captionfleet.ledger.format.bench_file import (
    BenchedDeployment,
    BenchedLoad,
    BenchedPreparation,
    BenchFile,
)
from captionfleet.plan.model.curve import is_saturated, rising
from captionfleet.plan.model.fit import GUESSED_COMPLETION, GUESSED_PROMPT, GUESSED_WORKER_TIME
from captionfleet.plan.model.reference import (
    ClipFacts,
    Reference,
    ReplicaProfile,
    WorkerTime,
)
from captionfleet.plan.model.requests import base_model, never_full
from captionfleet.plan.model.shape import Terms, fit_terms
from captionfleet.producer.windows import Cutting

__all__ = ["read_bench", "reference_of"]

_MAX_BYTES = 1 << 26
_NOMINAL_CLIP_S = 30.0
_AS_GOOD = 0.9  # of the best rate: loads beyond the one that reaches it are left out


def read_bench(path: Path) -> Reference:
    """Read a benchmark's result. Blocks.

    Raises:
        ConfigError: it cannot be read, is not a bench result, or has no load with captions.
    """
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_BYTES)
        result = BenchFile.model_validate_json(text)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise ConfigError(
            f"{path}: not a result of captionfleet bench: {where}: {first['msg']}"
        ) from None
    return reference_of(os.fspath(path), result)


def reference_of(label: str, result: BenchFile) -> Reference:
    """Turn a benchmark's result into a reference.

    Raises:
        ConfigError: no load has captions.
    """
    by_deployment = [(one, _measured(one)) for one in result.deployments]
    profiles = tuple(_profile(one, points) for one, points in by_deployment if points)
    points = [point for _, measured in by_deployment for point in measured]
    if not points:
        raise ConfigError(f"{label}: no load was sustained and brought captions")
    prepare, clip_s = result.prepare, _mean([point.clip_s for point in points])
    clip = ClipFacts("", 0, clip_s or (prepare.clip_s if prepare else 0.0) or _NOMINAL_CLIP_S)
    each, names = (1.0, clip.seconds), result.settings.requests

    def per_clip(values: Sequence[float | None], guess: tuple[float, float]) -> Terms:
        return fit_terms([each], [len(names) * _mean(values)], guess)

    captions = sum(point.requests for point in points)
    return Reference(
        label=label,
        clips=math.ceil(captions / len(names)),
        captions=captions,
        requests=names,
        profiles=profiles,
        request_factor=fit_terms([each], [1.0], (0.5, 0.5 / clip.seconds)),
        worker_time=_worker_time(prepare, clip),
        prompt_tokens=per_clip([p.prompt_tokens for p in points], GUESSED_PROMPT),
        completion_tokens=per_clip([p.completion_tokens for p in points], GUESSED_COMPLETION),
        payload_bytes=per_clip([p.payload_bytes for p in points], GUESSED_PROMPT),
        request_drift=max(map(_error_of_mean, points)),
        worker_drift=0.0,
        token_drift=0.0,
        mix=(clip,),
        fleet=(len(profiles), os.cpu_count() or 1),
        max_seconds=result.settings.max_seconds,
        cutting=Cutting(result.settings.segments, result.settings.overlap_s),
        notes=tuple(_notes(result, profiles, points, clip)),
    )


def _measured(deployment: BenchedDeployment) -> list[BenchedLoad]:
    """The closed-loop loads up to the best rate, in order of requests in flight."""
    points = deployment.points[deployment.changed_at :]
    held = [p for p in points if p.in_flight and p.clips_per_s and p.request_s]
    best = max((point.clips_per_s for point in held), default=0.0)
    most = max((p.in_flight or 0 for p in held if p.clips_per_s >= _AS_GOOD * best), default=0)
    return sorted((p for p in held if (p.in_flight or 0) <= most), key=lambda p: p.in_flight or 0)


def _profile(deployment: BenchedDeployment, points: Sequence[BenchedLoad]) -> ReplicaProfile:
    # By Little's law instead of the mean of request_s, as pauses between requests count, too.
    curve = rising((p.in_flight or 1, (p.in_flight or 1) / p.clips_per_s, 1.0) for p in points)
    return ReplicaProfile(
        names=(deployment.name,),
        model=base_model(deployment.model),
        curve=curve,
        sigma=max(map(_sigma, points)),
        max_in_flight=curve[-1][0],
        adaptive=True,
        requests=sum(point.requests for point in points),
        is_saturated=is_saturated(curve),
    )


def _sigma(point: BenchedLoad) -> float:
    spread = point.request_s
    return math.sqrt(math.log1p((spread.std / spread.mean) ** 2)) if spread else 0.0


def _error_of_mean(point: BenchedLoad) -> float:
    return _sigma(point) / math.sqrt(max(point.requests, 1))


def _worker_time(prepare: BenchedPreparation | None, clip: ClipFacts) -> WorkerTime | None:
    if prepare is None:
        return None
    seconds = prepare.clip_s or clip.seconds
    known = (1.0, seconds, seconds * clip.megapixels)
    return WorkerTime(fit_terms([known], [prepare.seconds_per_clip], GUESSED_WORKER_TIME))


def _mean(values: Sequence[float | None]) -> float:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else 0.0


def _notes(
    result: BenchFile,
    profiles: Sequence[ReplicaProfile],
    points: Sequence[BenchedLoad],
    clip: ClipFacts,
) -> Iterator[str]:
    yield (
        f"the benchmark's clips are {clip.seconds:.0f} s long: how request and worker times grow "
        "with length, frame size and codec is a guess"
    )
    if result.prepare is None:
        yield "the benchmark prepared no clip, so worker times are unknown"
    yield from _doubts(result, profiles, points)
    for profile in profiles:
        if note := never_full(profile, profile.max_in_flight):
            yield note
    if any(point.is_client_limit for point in points):
        yield "the client was the bottleneck at some loads: a replica may be faster"


def _doubts(
    result: BenchFile, profiles: Sequence[ReplicaProfile], points: Sequence[BenchedLoad]
) -> Iterator[str]:
    if not result.is_complete:
        yield "the benchmark was interrupted: later loads are missing"
    known = {name for profile in profiles for name in profile.names}
    if silent := [one.name for one in result.deployments if one.name not in known]:
        yield f"{', '.join(silent)} brought no caption in the benchmark, and is left out"
    if gone := [one.name for one in result.deployments if one.name in known and _is_gone(one)]:
        yield f"{', '.join(gone)} brought no caption at the end of the benchmark"
    if unsteady := sum(not point.is_steady for point in points):
        yield f"{unsteady} of {len(points)} loads were not steady: measure for longer (--seconds)"


def _is_gone(deployment: BenchedDeployment) -> bool:
    return deployment.points[-1].clips_per_s == 0
