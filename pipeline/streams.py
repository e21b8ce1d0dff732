"""Standard streams that neither a reader that left nor a full disk turns against a run (main)."""

import errno
import io
import os
import sys
from typing import Any, TextIO

__all__ = ["LenientFile", "open_standard_streams"]

_STDOUT, _STDERR = 1, 2


class LenientFile(io.FileIO):
    """A file that takes whatever it is given; `problem` is why some of it is not there."""

    problem: OSError | None = None

    def write(self, data: Any, /) -> int:
        """Write what can be written, and claim to have written it all."""
        try:
            return super().write(data)
        except OSError as error:
            self.problem = self.problem or error
            return memoryview(data).nbytes

    @property
    def lost(self) -> str | None:
        """Why words that somebody may wait for did not come out; a pipe's reader left by itself."""
        if self.problem is None or self.problem.errno == errno.EPIPE:
            return None
        return self.problem.strerror


def open_standard_streams() -> LenientFile:
    """Make sys.stdout and sys.stderr lenient, and return what is below sys.stdout.

    What a run logs is not worth its captions. A stream that the parent closed is opened on
    /dev/null: its number would go to the next file, such as captions.jsonl, and a library's
    complaint into there.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) <= _STDERR:
        pass
    os.close(number)
    output = LenientFile(_STDOUT, "w", closefd=False)
    errors = LenientFile(_STDERR, "w", closefd=False)
    sys.stdout = _text(output, sys.stdout, line_buffering=output.isatty())
    sys.stderr = _text(errors, sys.stderr, line_buffering=True)
    return output


def _text(raw: LenientFile, former: TextIO | None, *, line_buffering: bool) -> TextIO:
    # A caption or a name may hold what the terminal's encoding has no character for.
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=former.encoding if former else "utf-8",
        errors="backslashreplace",
        line_buffering=line_buffering,
    )
