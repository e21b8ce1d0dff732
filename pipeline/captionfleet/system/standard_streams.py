"""Keeps stalled readers and full disks behind stdout and stderr from stopping a run (main)."""

import atexit
import errno
import io
import math
import os
import select
import sys
import threading
from collections import deque
from contextlib import suppress
from functools import partial
from typing import Any, TextIO

__all__ = ["LenientFile", "do_not_wait_for_readers", "open_standard_streams", "settle"]

_STDOUT, _STDERR = 1, 2
_QUEUE_BYTES = 1 << 18  # some thousand lines of a log, beside the 64 KiB that a pipe holds
_PIECE_BYTES = 1 << 16  # bytes per write, so that no log line is split
_LOG_AT_END_S = 2.0
_OTHERS_WAIT_S = 1.0
_SUMMARY_AT_END_S = 30.0  # on a terminal, Ctrl-S may have stopped the output


class LenientFile(io.RawIOBase):
    """A file whose writes never fail; its own thread does the writing.

    A stalled reader blocks only that thread. Once the queue is full, a write waits for the reader
    for at most `patience_s`; then lines are dropped, and a line that counts them follows when the
    reader resumes. `problem` is the first error.
    """

    def __init__(self, descriptor: int, patience_s: float) -> None:
        super().__init__()
        self.problem: OSError | None = None
        self.patience_s = patience_s
        self._descriptor = descriptor
        self._queue: deque[bytes] = deque()
        self._queued_bytes = 0
        self._written_bytes = 0
        self._dropped_lines = 0
        self._ends_line = True
        self._changed = threading.Condition()
        self._writer: threading.Thread | None = None

    def writable(self) -> bool:
        """Always true."""
        return True

    def fileno(self) -> int:
        """The descriptor, from which libraries learn of a terminal and its width."""
        return self._descriptor

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return os.isatty(self._descriptor)

    def write(self, data: Any, /) -> int:
        """Queue the text, or drop it; always return its full length."""
        piece = bytes(data)
        if sys.is_finalizing():  # no thread is left to write it
            self._write_out_if_ready(piece)
        elif self._has_writer():
            self._put(piece)
        else:
            self._write_out(piece)
        return len(piece)

    def finish(self, patience_s: float) -> None:
        """Wait until everything is written, or until the reader has stalled for `patience_s`."""
        with self._changed:
            self._wait_for_room(0, patience_s)
            if self._dropped_lines and not self._queued_bytes:
                self._append(self._count_of_dropped(b""))
                self._wait_for_room(0, patience_s)

    @property
    def lost(self) -> str | None:
        """Why output that a reader may need was lost; None if it is complete.

        If the reader closes its pipe, it needs no more: the output counts as complete.
        """
        if self.problem is None or self.problem.errno == errno.EPIPE:
            return None
        return self.problem.strerror

    def _has_writer(self) -> bool:
        if self._writer is None:
            writer = threading.Thread(target=self._keep_writing, daemon=True)
            try:
                writer.start()
            except RuntimeError:  # the system cannot start a thread
                return False
            self._writer = writer
        return True

    def _put(self, piece: bytes) -> None:
        with self._changed:
            if not self._wait_for_room(_QUEUE_BYTES, self.patience_s):
                self._dropped_lines += piece.count(b"\n")
                return
            if self._dropped_lines:
                piece = self._count_of_dropped(piece) + piece
            self._append(piece)

    def _append(self, piece: bytes) -> None:
        self._queue.append(piece)
        self._queued_bytes += len(piece)
        self._ends_line = piece.endswith(b"\n")
        self._changed.notify_all()

    def _count_of_dropped(self, before: bytes) -> bytes:
        """The count of dropped lines, in the form of the line after it."""
        words = f"{self._dropped_lines} lines dropped: the reader of this log had stalled"
        self._dropped_lines = 0
        line = f"captionfleet: {words}"
        if before.startswith(b"{"):
            line = f'{{"event":"{words}","level":"warning"}}'
        return (b"" if self._ends_line else b"\n") + line.encode() + b"\n"

    def _wait_for_room(self, most_bytes: int, patience_s: float) -> bool:
        """Wait until the queue holds at most `most_bytes`; False if the reader stalls."""
        while self._queued_bytes > most_bytes:
            before = self._written_bytes
            if not patience_s:
                return False
            has_changed = self._changed.wait(None if math.isinf(patience_s) else patience_s)
            if not has_changed and before == self._written_bytes:
                return False
        return True

    def _keep_writing(self) -> None:
        while True:
            with self._changed:
                while not self._queue:
                    self._changed.wait()
                piece = self._queue.popleft()
            self._write_out(piece)
            with self._changed:
                self._queued_bytes -= len(piece)
                self._changed.notify_all()

    def _write_out_if_ready(self, piece: bytes) -> None:
        poll = select.poll()
        poll.register(self._descriptor, select.POLLOUT)
        if poll.poll(0):
            self._write_out(piece)

    def _write_out(self, piece: bytes) -> None:
        rest = memoryview(piece)
        while rest:
            try:
                count = os.write(self._descriptor, rest)
            except BlockingIOError:  # another program set the shared terminal to non-blocking
                _wait_writable(self._descriptor)
            except OSError as error:
                self.problem = self.problem or error
                return
            else:
                rest = rest[count:]
                self._written_bytes += count


def _wait_writable(descriptor: int) -> None:
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    poll.poll()


def open_standard_streams() -> LenientFile:
    """Make sys.stdout and sys.stderr lenient, and return the file below sys.stdout.

    Log lines matter less than captions: stderr drops what its reader does not take. Stdout, which
    may carry a list, waits for its reader. A stream that the parent process closed is opened on
    /dev/null; otherwise its descriptor would be reused by the next file, such as captions.jsonl,
    and messages of libraries would be written into that.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) <= _STDERR:
        pass
    os.close(number)
    output = LenientFile(_STDOUT, math.inf)
    errors = LenientFile(_STDERR, 0.0)
    sys.stdout = _text(output, sys.stdout, line_buffering=output.isatty())
    sys.stderr = _text(errors, sys.stderr, line_buffering=True)
    for stream, raw in ((sys.stdout, output), (sys.stderr, errors)):
        atexit.register(partial(_finish, stream, raw))  # also after a traceback
    return output


def do_not_wait_for_readers() -> None:
    """Let no stalled reader of stdout delay the end of a run."""
    output = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    if isinstance(output, LenientFile):
        output.patience_s = _SUMMARY_AT_END_S


def settle(stream: TextIO) -> None:
    """Wait up to a second for a stream's output, so that other streams' output comes after it."""
    raw = getattr(getattr(stream, "buffer", None), "raw", None)
    if isinstance(raw, LenientFile):
        stream.flush()
        raw.finish(_OTHERS_WAIT_S)


def _finish(stream: TextIO, raw: LenientFile) -> None:
    """Write what is buffered, while threads can still run."""
    with suppress(ValueError):  # already closed
        stream.flush()
    raw.finish(_LOG_AT_END_S)


def _text(raw: LenientFile, former: TextIO | None, *, line_buffering: bool) -> TextIO:
    # A caption or a name may hold characters that the terminal's encoding lacks.
    return io.TextIOWrapper(
        io.BufferedWriter(raw, _PIECE_BYTES),
        encoding=former.encoding if former else "utf-8",
        errors="backslashreplace",
        line_buffering=line_buffering,
    )
