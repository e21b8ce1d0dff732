"""Figures as people read them; pure, standard library only (main process)."""

__all__ = ["three_digits"]

_UNITS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
_ROUNDS_UP = 0.9995  # to three digits, this much of a unit is one


def three_digits(number: float, *, plain_below: float = 1e3) -> str:
    """Three digits and the letter of a power of a thousand: 13.1k; whole numbers below it."""
    for unit, letter in _UNITS:
        if abs(number) >= max(_ROUNDS_UP * unit, plain_below):
            return f"{number / unit:.3g}{letter}"
    return f"{number:,.0f}"
