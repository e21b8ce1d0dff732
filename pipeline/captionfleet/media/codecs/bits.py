"""Reads bit fields and Exp-Golomb codes of a coded header; pure (worker process)."""

__all__ = ["Bits"]

_LONGEST_CODE = 32


class Bits:
    """A bit reader, most significant bit first; reads zeros past the end."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data)
        self._left = 8 * len(data)

    def take(self, count: int) -> int:
        """The next `count` bits as a number."""
        self._left -= count
        return (self._value >> self._left) & ((1 << count) - 1) if self._left >= 0 else 0

    def golomb(self) -> int:
        """An unsigned Exp-Golomb code (H.264, 9.1)."""
        zeros = 0
        while zeros < _LONGEST_CODE and self._left > 0 and not self.take(1):
            zeros += 1
        return (1 << zeros) - 1 + self.take(zeros)

    def signed_golomb(self) -> int:
        """A signed Exp-Golomb code (H.264, 9.1.1)."""
        code = self.golomb()
        return (code + 1) // 2 if code % 2 else -code // 2
