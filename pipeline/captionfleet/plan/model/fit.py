"""Turns the lines of a run into a reference for predicting other runs; pure (main process)."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from captionfleet.plan.lines import Lines, RunRecord
from captionfleet.plan.model.reference import ClipFacts, Reference, WorkerTime
from captionfleet.plan.model.requests import fit_requests
from captionfleet.plan.model.shape import Terms, fit_terms
from captionfleet.plan.model.table import Floats, Table, drift, make_table

__all__ = ["GUESSED_COMPLETION", "GUESSED_PROMPT", "GUESSED_WORKER_TIME", "fit_run"]

GUESSED_WORKER_TIME = (0.05, 0.006, 0.012)
"""Proportions of a clip's work: itself, each second, each second and megapixel of the source."""

GUESSED_PROMPT, GUESSED_COMPLETION = (1.0, 1.0), (1.0, 0.03)
"""Proportions of a clip's tokens: itself, and each second."""

_FEW = 100
_MOST_IN_MIX = 2000
_LIKE_ALL = 5.0  # in clips: the weight of the assumption that a codec is as fast as the mean
_MANY_RETRIES = 0.02
_UNKNOWN = 0.5


def fit_run(label: str, run: RunRecord, lines: Lines, *, apart: bool = False) -> Reference:
    """Turn the last run in an output folder into a reference.

    `apart` models each deployment alone; otherwise requests to one model are pooled.

    Raises:
        ConfigError: the run has no captions.
    """
    table = make_table(run, lines)
    requests = fit_requests(table, lines, run, apart=apart)
    worker_time, worker_drift = _worker_time(table, lines, run)
    prompt, completion, token_drift = _tokens(table)
    payload, _ = _per_clip(table, table.payload_bytes, GUESSED_PROMPT)
    startup_s, ending_s = _edges(run, table, worker_time)
    return Reference(
        label=label,
        clips=table.clips,
        captions=len(table),
        requests=tuple(lines.requests[place] for place in np.unique(table.request)),
        profiles=requests.profiles,
        request_factor=requests.factor,
        worker_time=worker_time,
        prompt_tokens=prompt,
        completion_tokens=completion,
        payload_bytes=payload,
        request_drift=requests.drift,
        worker_drift=worker_drift,
        token_drift=token_drift,
        mix=_mix(table, lines),
        fleet=(max(1, len(run.ceilings)), run.processes),
        startup_s=startup_s,
        ending_s=ending_s,
        timeout_s=run.timeout_s,
        max_seconds=run.max_seconds,
        cutting=run.cutting,
        notes=(*_notes(run, lines, table, worker_time), *requests.notes),
    )


def _worker_time(table: Table, lines: Lines, run: RunRecord) -> tuple[WorkerTime | None, float]:
    made = np.flatnonzero(np.isfinite(table.prepare_s))
    if not len(made):
        return None, _UNKNOWN
    seconds, megapixels = table.seconds[made], table.pixels[made] / 1e6
    known = np.column_stack([np.ones(len(made)), seconds, seconds * megapixels])
    measured_s = table.prepare_s[made]
    terms = fit_terms(known, measured_s, GUESSED_WORKER_TIME)
    expected_s = np.maximum(terms.each(known), 1e-6)
    factors = _codec_factors(table.codec[made], measured_s, expected_s)
    ratios = measured_s / expected_s / np.asarray([factors[c] for c in table.codec[made]])
    codecs = tuple((lines.codecs[place], factor) for place, factor in factors.items())
    return WorkerTime(terms, codecs, _overhead_s(run, table)), drift(ratios)


def _codec_factors(codec: "np.ndarray", measured_s: Floats, expected_s: Floats) -> dict[int, float]:
    alike_s = _LIKE_ALL * float(expected_s.mean())
    return {
        int(place): float(
            (measured_s[codec == place].sum() + alike_s)
            / (expected_s[codec == place].sum() + alike_s)
        )
        for place in np.unique(codec)
    }


def _overhead_s(run: RunRecord, table: Table) -> float:
    """The worker's time per clip beyond preparing it: startup and communication."""
    clips = (run.captioned + run.failed) * table.clips / len(table)
    return max(0.0, run.busy_s - run.prepare_s) / max(clips, 1.0)


def _tokens(table: Table) -> tuple[Terms, Terms, float]:
    is_known = np.isfinite(table.prompt_tokens) & np.isfinite(table.completion_tokens)
    if not is_known.any():
        return Terms((0.0, 0.0)), Terms((0.0, 0.0)), _UNKNOWN
    prompt, expected_in = _per_clip(table, table.prompt_tokens, GUESSED_PROMPT, is_known)
    completion, expected_out = _per_clip(
        table, table.completion_tokens, GUESSED_COMPLETION, is_known
    )
    expected = expected_in + expected_out
    measured = (table.prompt_tokens + table.completion_tokens)[is_known]
    return prompt, completion, drift(measured / np.maximum(expected, 1e-6))


def _per_clip(
    table: Table,
    values: Floats,
    guess: tuple[float, float],
    is_known: NDArray[np.bool_] | None = None,
) -> tuple[Terms, Floats]:
    """The sum over all requests of a clip, and the expected value of each line.

    Requests count equally, as each is sent once per clip, even if one of them has fewer lines.
    """
    counts = np.ones(len(table), dtype=bool) if is_known is None else is_known
    weights, expected = np.zeros(len(guess)), np.zeros(len(table))
    for request in np.unique(table.request[counts]):
        own = counts & (table.request == request)
        terms = fit_terms(table.one_and_seconds[own], values[own], guess)
        weights += terms.weights
        expected[own] = terms.each(table.one_and_seconds[own])
    return Terms(tuple(weights.tolist())), expected[counts]


def _edges(run: RunRecord, table: Table, worker_time: WorkerTime | None) -> tuple[float, float]:
    """Seconds before the first request, without the first clip's, and after the last caption."""
    if not table.is_last_run:
        return 0.0, 0.0
    first_s = float((table.ended_s - table.request_s).min()) - run.started_s
    if worker_time is not None:
        first_s -= float(np.nanmean(table.prepare_s)) / run.processes
    return max(0.0, first_s), max(0.0, run.ended_s - float(table.ended_s.max()))


def _mix(table: Table, lines: Lines) -> tuple[ClipFacts, ...]:
    places = np.linspace(0, len(table) - 1, min(len(table), _MOST_IN_MIX)).astype(int)
    return tuple(
        ClipFacts(lines.codecs[table.codec[at]], int(table.pixels[at]), float(table.seconds[at]))
        for at in places
    )


def _notes(
    run: RunRecord, lines: Lines, table: Table, worker_time: WorkerTime | None
) -> Iterator[str]:
    if not table.is_last_run:
        yield "the last run captioned few clips, so all captions of the folder are used"
    if run.left_out:
        asked, others = ", ".join(run.asked), ", ".join(run.left_out)
        yield f"the last run asked {asked} alone (--only-request); the plan is without {others}"
    if unknown := [name for name in run.asked if name and name not in lines.requests]:
        yield f"no caption of {', '.join(unknown)} is there: what that takes is not in the plan"
    if len(table) < _FEW:
        yield f"only {len(table)} captions: the range is wide for that reason"
    if lines.unreadable:
        yield f"{lines.unreadable:,} line(s) of captions.jsonl cannot be read and were left out"
    if worker_time is None:
        yield (
            "all media of the reference came from the store, so worker times are unknown: the plan "
            "is for a library that is already prepared"
        )
    retried = run.requests - run.captioned
    if retried > _MANY_RETRIES * max(run.requests, 1):
        yield f"{retried:,} of {run.requests:,} requests failed; the plan assumes none"
