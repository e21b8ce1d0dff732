"""Damages files at random, yet the same way again for the same seed."""

import random
import re
import struct
from collections.abc import Callable, Sequence

__all__ = ["mutate", "seeded"]

_EXTREMES = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
_FIELD_NAME = re.compile(rb"[A-Za-z][A-Za-z0-9]{3}")  # of MP4 boxes and RIFF chunks
_HEADER_BYTES = 2048
_BLOCK_BYTES = 4096

Mutation = Callable[[bytearray, random.Random], None]


def seeded(*seed: object) -> random.Random:
    """A source of numbers that are the same again for the same seed."""
    return random.Random(repr(seed))  # noqa: S311 - damages files, guards nothing


def mutate(content: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    """A damaged copy: one to three things happen to it, now and then with another file's bytes."""
    damaged = bytearray(content)
    if rng.random() < 0.05:
        _splice(damaged, rng.choice(others), rng)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        if damaged:
            rng.choice(_MUTATIONS)(damaged, rng)
    return bytes(damaged)


def _splice(damaged: bytearray, other: bytes, rng: random.Random) -> None:
    """Go on with the end of another file."""
    at = rng.randrange(len(damaged))
    damaged[at:] = other[min(at, len(other) // 2) :]


def _truncate(damaged: bytearray, rng: random.Random) -> None:
    del damaged[rng.randrange(len(damaged)) :]


def _flip_anywhere(damaged: bytearray, rng: random.Random) -> None:
    for _ in range(rng.choice((1, 4, 16, 64))):
        damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)


def _flip_header(damaged: bytearray, rng: random.Random) -> None:
    """Change bytes at the beginning or, where an MP4 has its index, at the end."""
    size = min(len(damaged), _HEADER_BYTES)
    first = 0 if rng.random() < 0.5 else len(damaged) - size
    for _ in range(rng.choice((1, 2, 4, 8))):
        damaged[first + rng.randrange(size)] = rng.randrange(256)


def _forge_field(damaged: bytearray, rng: random.Random) -> None:
    """Set a number near a field's name to an extreme."""
    names = [found.end() for found in _FIELD_NAME.finditer(damaged[:_HEADER_BYTES])]
    names += [found.end() for found in _FIELD_NAME.finditer(damaged, max(0, len(damaged) - 4096))]
    at = rng.choice(names or [0]) + rng.randrange(-8, 48)
    at = max(0, min(at, len(damaged) - 4))
    forged = struct.pack(rng.choice("<>") + "I", rng.choice(_EXTREMES))
    damaged[at : at + 4] = forged


def _overwrite(damaged: bytearray, rng: random.Random) -> None:
    first, size = _block(damaged, rng)
    damaged[first : first + size] = _filling(size, rng)


def _insert(damaged: bytearray, rng: random.Random) -> None:
    first, size = _block(damaged, rng)
    damaged[first:first] = _filling(size, rng)


def _delete(damaged: bytearray, rng: random.Random) -> None:
    first, size = _block(damaged, rng)
    del damaged[first : first + size]


def _repeat(damaged: bytearray, rng: random.Random) -> None:
    first, size = _block(damaged, rng)
    at = rng.randrange(len(damaged))
    damaged[at:at] = damaged[first : first + size]


def _block(damaged: bytearray, rng: random.Random) -> tuple[int, int]:
    size = min(len(damaged), 1 + rng.randrange(rng.choice((8, 256, _BLOCK_BYTES))))
    return rng.randrange(len(damaged) - size + 1), size


def _filling(size: int, rng: random.Random) -> bytes:
    return rng.choice((bytes(size), b"\xff" * size, rng.randbytes(size)))


_MUTATIONS: tuple[Mutation, ...] = (
    _truncate, _flip_anywhere, _flip_header, _forge_field, _forge_field, _overwrite, _insert,
    _delete, _repeat,
)  # fmt: skip
