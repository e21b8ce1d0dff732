"""Synthesises the sounds of generated films (any process)."""

from collections.abc import Callable
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["Kind", "samples"]

Kind = Literal["tone", "speech", "ticks", "silence"]
Samples = NDArray[np.float32]

LOOP_S = 12  # longer sounds repeat it: synthesis costs more than encoding


def samples(kind: Kind, count: int, rate_hz: int) -> Samples:
    """`count` mono samples in [-1, 1].

    `tone` is a steady 440 Hz; `ticks` is 40 ms of 1 kHz at every whole second, to measure
    synchrony; `speech` has syllables in phrases with pauses.
    """
    return np.resize(_loop(kind, min(count, LOOP_S * rate_hz), rate_hz), count)


@lru_cache(maxsize=8)  # all films of a library have the same speech
def _loop(kind: Kind, count: int, rate_hz: int) -> Samples:
    return _SYNTHESIS[kind](np.arange(count) / rate_hz).astype(np.float32)


def _tone(times_s: NDArray[np.float64]) -> NDArray[np.float64]:
    return 0.3 * np.sin(2 * np.pi * 440 * times_s)


def _ticks(times_s: NDArray[np.float64]) -> NDArray[np.float64]:
    return 0.8 * np.sin(2 * np.pi * 1000 * times_s) * (times_s % 1 < 0.04)  # noqa: PLR2004 - 40 ms


def _speech(times_s: NDArray[np.float64]) -> NDArray[np.float64]:
    phase = 2 * np.pi * (130 * times_s - 4 * np.cos(2 * np.pi * 0.7 * times_s))  # pitch glides
    voice: NDArray[np.float64] = np.sum([np.sin(phase * k) / k for k in (1, 2, 3, 5, 7)], axis=0)
    syllables = np.maximum(np.sin(2 * np.pi * 4 * times_s), 0)
    phrases = times_s % 3 < 2.2  # noqa: PLR2004 - 2.2 s of talk, 0.8 s of pause
    loudness = 0.25 * syllables * phrases
    return loudness * voice


def _silence(times_s: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.zeros_like(times_s)


_SYNTHESIS: dict[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = {
    "tone": _tone,
    "speech": _speech,
    "ticks": _ticks,
    "silence": _silence,
}
