"""Saves a list from standard input to a file, since it is read several times (main process)."""

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
    """Read standard input to its end; return a file with it and the ending that fits.

    The file has no name, and disappears with the process.

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
    """Whether the first line looks like JSON lines, columns or a plain path."""
    line = os.fsdecode(head.removeprefix(b"\xef\xbb\xbf").partition(b"\n")[0]).strip()
    if b"\0" not in head and line.startswith("{"):
        return ".jsonl"
    is_table = any(path_column(line.split(one)) is not None for one in ",;\t")
    return ".csv" if is_table else ".txt"
