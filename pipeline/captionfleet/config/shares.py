"""Parses shares such as 3/16, of files or of places at a deployment; pure (main process)."""

__all__ = ["as_share", "places_of"]

_MOST = 1_000_000  # more than any array job: it must be a typo


def as_share(value: str) -> str:
    """Check a share; empty text is allowed.

    Raises:
        ValueError: it is not a share.
    """
    index, _, count = value.partition("/")
    digits = index.isascii() and index.isdecimal() and count.isascii() and count.isdecimal()
    if value and not (digits and int(index) < int(count) <= _MOST):
        raise ValueError(f"{value}: not I/N with I from 0 to N - 1, as in 0/16 to 15/16")
    return value


def places_of(share: str, places: int) -> int:
    """The places of one share; over all shares they add up to `places`.

    Each share has at least one place, so with more shares than places the sum is larger.
    """
    if not share:
        return places
    index, count = (int(part) for part in share.split("/"))
    return max(1, places * (index + 1) // count - places * index // count)
