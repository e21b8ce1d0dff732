"""Fits sums of simple terms to measurements, starting from a guess; pure (main process)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Terms", "fit_terms"]

_GUESS_WEIGHT = 0.1  # ratio of the relative variance of a clip's time to that of a guessed weight
_NOTHING = 1e-12


@dataclass(frozen=True, slots=True)
class Terms:
    """A sum of terms, each a weight times a property of a clip."""

    weights: tuple[float, ...]

    def of(self, *known: float) -> float:
        """The sum for one clip."""
        return sum(weight * value for weight, value in zip(self.weights, known, strict=True))

    def each(self, known: NDArray[np.float64]) -> NDArray[np.float64]:
        """The sums for many clips, one per row."""
        sums: NDArray[np.float64] = known @ np.asarray(self.weights)
        return sums


def fit_terms(known: ArrayLike, measured: ArrayLike, guess: Sequence[float]) -> Terms:
    """Non-negative weights whose sums come closest to the measurements.

    Where the clips are too similar to separate two terms, `guess` gives their proportion. The sum
    over all clips equals that of the measurements.

    Args:
        known: One row for each clip, one column for each term.
        measured: One value for each clip, none below zero.
        guess: The proportions of the weights; their size does not matter.
    """
    rows, values = np.asarray(known, dtype=float), np.asarray(measured, dtype=float)
    guessed = rows * np.asarray(guess, dtype=float)
    if values.mean() < _NOTHING or guessed.mean() < _NOTHING:
        return Terms((0.0,) * len(guess))
    factors = _factors(guessed / guessed.sum(axis=1).mean(), values / values.mean())
    scale = values.sum() / (guessed @ factors).sum()
    return Terms(tuple(float(w) for w in factors * scale * np.asarray(guess, dtype=float)))


def _factors(terms: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The factor for each guessed term, by ridge regression towards one.

    The means of values and guesses are one.
    """
    factors = np.zeros(terms.shape[1])
    free: NDArray[np.bool_] = np.asarray(terms.any(axis=0))
    while free.any():
        kept = terms[:, free]
        pull = _GUESS_WEIGHT * np.eye(kept.shape[1])
        solved = np.linalg.solve(kept.T @ kept + pull, kept.T @ values + pull.sum(axis=1))
        if (solved >= 0).all():
            factors[free] = solved
            break
        free[np.flatnonzero(free)[solved < 0]] = False
    return factors if factors.any() else np.ones(terms.shape[1])
