"""Figures with their targets."""

from dataclasses import dataclass

__all__ = ["Figure", "at_least", "at_most"]


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure, rounded, and whether it is what it has to be."""

    name: str
    value: float
    target: str
    is_met: bool


def at_least(name: str, value: float, least: float) -> Figure:
    """A figure that must not be lower."""
    return Figure(name, round(value, 4), f"≥ {least:g}", value >= least)


def at_most(name: str, value: float, most: float) -> Figure:
    """A figure that must not be higher."""
    return Figure(name, round(value, 4), f"≤ {most:g}", value <= most)
