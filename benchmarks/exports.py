"""What each export needs over a folder of a hundred thousand captions: seconds and peak memory.

Run from the checkout: `python -m benchmarks.exports [LINES]`.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import orjson

from captionfleet.config.sections.export import Format
from captionfleet.telemetry import monotonic_s
from tests.support.library import film, line, with_media, write_lines

_WORDS = "A dog runs along the beach, and the waves come in behind it. " * 12  # 730 characters
_FILMS_A_FOLDER = 1000


def main(lines: int) -> int:
    """Print a row for each format, twice: a first export, and one that finds it as it was."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_lines(folder / "out", _lines(folder, lines))
        print(f"{lines:,} lines; seconds and peak RSS in MB, of a first export and of a second")
        for to in get_args(Format):
            words = [to, "--out", os.fspath(folder / to), "--media", os.fspath(folder / "store")]
            first, second = (_measured(folder / "out", words) for _ in range(2))
            figures = (
                f"{seconds:6.1f} s {peak_mb:4.0f} MB" for seconds, peak_mb in (first, second)
            )
            print(f"{to:10}", *figures)
    return 0


def _lines(folder: Path, lines: int) -> Iterator[bytes]:
    for number in range(lines):
        one = film(folder / "videos", f"{number // _FILMS_A_FOLDER:04}/{number:07}.mp4")
        media = with_media(folder / "store", number)
        record = orjson.loads(line(one, f"{number} {_WORDS}", **media))
        yield orjson.dumps(record) + b"\n"


def _measured(out: Path, words: list[str]) -> tuple[float, float]:
    begun_s = monotonic_s()
    command = [sys.executable, "-m", "captionfleet", "export", os.fspath(out), "--quiet", "--to"]
    child = subprocess.Popen([*command, *words], stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(child.pid, 0)
    if status:
        raise RuntimeError(f"{words}: ended with {status}")
    return monotonic_s() - begun_s, used.ru_maxrss / 1000


if __name__ == "__main__":
    sys.exit(main(*([int(word) for word in sys.argv[1:]] or [100_000])))
