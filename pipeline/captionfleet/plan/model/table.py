"""Selects the lines of a run that count, as columns in order of time; pure (main process)."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from captionfleet.errors import ConfigError
from captionfleet.plan.lines import Lines, RunRecord

__all__ = ["Floats", "Table", "drift", "make_table"]

Floats = NDArray[np.float64]

_FEW = 50
_EDGE_S = 1.0
_SLICES, _SLICE_LINES = 10, 20


@dataclass(frozen=True, slots=True)
class Table:
    """The lines that count; units and gaps as in `Lines`.

    `prepare_s` is set in one line of each clip. With `is_last_run`, all lines are of the run that
    run.json describes.
    """

    ended_s: Floats
    request_s: Floats
    prepare_s: Floats
    seconds: Floats
    pixels: Floats
    prompt_tokens: Floats
    completion_tokens: Floats
    payload_bytes: Floats
    deployment: NDArray[np.int64]
    codec: NDArray[np.int64]
    request: NDArray[np.int64]
    clip: Floats
    is_last_run: bool

    def __len__(self) -> int:
        return len(self.ended_s)

    @property
    def clips(self) -> int:
        """How many clips the lines are of."""
        return len(np.unique(self.clip))

    @property
    def one_and_seconds(self) -> Floats:
        """The columns one and seconds, for fits in a clip's length."""
        return np.column_stack([np.ones(len(self)), self.seconds])


def make_table(run: RunRecord, lines: Lines) -> Table:
    """The lines of the last run; for a request with few of them, all lines in the folder.

    Lines of requests that the run did not send count only where there are no others.

    Raises:
        ConfigError: there are no lines.
    """
    if not len(lines):
        raise ConfigError("the reference holds no captions to measure")
    columns = {name: np.asarray(values) for name, values in lines.columns.items()}
    ended_s = columns["ended_s"]
    is_last = (ended_s >= run.started_s - _EDGE_S) & (ended_s <= run.ended_s + _EDGE_S)
    named = [place for place, name in enumerate(lines.requests) if name in run.asked]
    are_enough, counts = True, np.zeros(len(lines), dtype=bool)
    for request in named or range(len(lines.requests)):
        own = columns["request"] == request
        is_enough = int((own & is_last).sum()) >= min(_FEW, int(own.sum()))
        counts |= own & (is_last | (not is_enough))
        are_enough = are_enough and is_enough
    places = np.flatnonzero(counts)
    places = places[np.argsort(ended_s[places], kind="stable")]
    chosen = {name: values[places] for name, values in columns.items()}
    prepare_s = _once(chosen["clip"], chosen.pop("prepare_s"))
    return Table(
        deployment=chosen.pop("deployment").astype(np.int64),
        codec=chosen.pop("codec").astype(np.int64),
        request=chosen.pop("request").astype(np.int64),
        prepare_s=prepare_s,
        is_last_run=are_enough,
        **chosen,
    )


def _once(clip: Floats, prepare_s: Floats) -> Floats:
    """The preparation times, each in the first line of its clip only."""
    _, first = np.unique(np.column_stack([clip, prepare_s]), axis=0, return_index=True)
    once = np.full(len(prepare_s), np.nan)
    once[first] = prepare_s[first]
    return once


def drift(ratios: Floats) -> float:
    """The variation between parts of a run: the standard deviation of the logs of their means.

    Args:
        ratios: Measured over expected, in the order of time.
    """
    count = min(_SLICES, len(ratios) // _SLICE_LINES)
    if count < 2:  # noqa: PLR2004 - one part has nothing to be compared with
        spread = float(np.std(ratios)) if len(ratios) > 1 else 0.5
        return spread / math.sqrt(max(len(ratios), 1))
    means = [max(float(part.mean()), 1e-9) for part in np.array_split(ratios, count)]
    return float(np.std(np.log(means), ddof=1))
