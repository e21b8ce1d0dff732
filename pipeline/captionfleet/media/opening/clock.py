"""Corrects timestamps whose clock jumps or is absurd midway; pure (worker process)."""

__all__ = ["DoubtedClock", "JoinedClock"]

_JUMP_US = 10_000_000
_BACK_US = 100_000
_ABSURD_US = 30 * 3600 * 1_000_000


class JoinedClock:
    """Offsets that make timestamps continuous where the file's clock is reset.

    Follows FFmpeg's command line for transport and program streams (ts_discontinuity_detect): a
    step of more than 10 s in either direction, or back by more than 0.1 s, is a reset. The stream
    then continues where its last packet ended, and all streams move with it. Times are decoding
    times in microseconds. `jumps` counts the resets.
    """

    def __init__(self) -> None:
        self.jumps = 0
        self._offset_us = 0
        self._last_us: dict[int, int] = {}
        self._due_us: dict[int, int] = {}
        self._newest_us: int | None = None

    @property
    def offset_us(self) -> int:
        """The offset that was added last."""
        return self._offset_us

    def correct(self, stream: int, dts_us: int, duration_us: int) -> int:
        """The offset for the timestamps of a stream's next packet."""
        at = dts_us + self._offset_us
        due = self._due_us.get(stream)
        if due is None:
            due = self._newest_us
            is_jump = due is not None and abs(at - due) > _JUMP_US
        else:
            is_jump = abs(at - due) > _JUMP_US or at + _BACK_US < self._last_us[stream]
        if is_jump and due is not None:
            self.jumps += 1
            self._offset_us += due - at
            at = due
        self._last_us[stream] = self._newest_us = at
        self._due_us[stream] = at + duration_us
        return self._offset_us


class DoubtedClock:
    """Detects absurd timestamps, in formats whose clock is never reset.

    Follows FFmpeg's command line for all formats but transport and program streams
    (ts_discontinuity_detect, -dts_error_threshold): a time 30 h from the expected one is ignored,
    so that pictures and sound follow what came before. Times are in microseconds.
    """

    def __init__(self) -> None:
        self._due_us: dict[int, int] = {}

    def is_absurd(self, stream: int, at_us: int) -> bool:
        """Whether a DTS or PTS of a stream's next packet is absurd."""
        return abs(at_us - self._due_us.get(stream, at_us)) > _ABSURD_US

    def advance(self, stream: int, dts_us: int | None, duration_us: int) -> None:
        """Advance past a packet; its DTS is None if it was ignored."""
        due = self._due_us.get(stream, 0) if dts_us is None else dts_us
        self._due_us[stream] = due + duration_us
