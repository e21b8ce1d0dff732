"""A list on standard input, kept in a file, as it is read more than once (main, in a thread)."""

import os
import shutil
import sys
import tempfile
from functools import cache
from pathlib import Path

from captionfleet.errors import ConfigError
from captionfleet.producer.lists.rows import path_column

__all__ = ["STANDARD_INPUT", "kept_standard_input"]

STANDARD_INPUT = Path("-")
_HEAD_BYTES = 1 << 16


@cache
def kept_standard_input() -> tuple[Path, str]:
    """A file with what came on standard input, and the ending that it would have as a list.

    Waits for its end. The file has no name that others see, and goes with the process.

    Raises:
        ConfigError: standard input is a terminal, or cannot be kept.
    """
    if sys.stdin is None or sys.stdin.isatty():
        raise ConfigError("source -: standard input is a terminal: pipe a list of videos into it")
    try:
        kept = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the process
        shutil.copyfileobj(sys.stdin.buffer, kept)
        kept.flush()
        head = os.pread(kept.fileno(), _HEAD_BYTES, 0)
    except OSError as error:
        raise ConfigError(f"source -: standard input: {error.strerror}") from None
    _KEPT.append(kept)
    return Path(f"/proc/self/fd/{kept.fileno()}"), _ending(head)


_KEPT: list[object] = []  # not closed before the process ends


def _ending(head: bytes) -> str:
    """JSON lines, columns, or a path a line: what the first line looks like."""
    line = os.fsdecode(head.removeprefix(b"\xef\xbb\xbf").partition(b"\n")[0]).strip()
    if b"\0" not in head and line.startswith("{"):
        return ".jsonl"
    is_table = any(path_column(line.split(one)) is not None for one in ",;\t")
    return ".csv" if is_table else ".txt"
