"""What each export needs over a folder of captions: seconds, CPU seconds and peak memory.

Run from the checkout: `python -m benchmarks.exports [LINES] [--to FORMAT ...] [--folder FOLDER]`.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple, get_args

import orjson

from captionfleet.config import MediaConfig
from captionfleet.config.sections.export import Format
from captionfleet.producer.identity.clips import plan
from captionfleet.telemetry import monotonic_s
from tests.support.library import film, line, with_media, write_lines

_WORDS = "A dog runs along the beach, and the waves come in behind it. " * 12  # 730 characters
_FILMS_A_FOLDER = 1000


class _Needs(NamedTuple):
    elapsed_s: float
    cpu_s: float
    peak_mb: float

    def __str__(self) -> str:
        return f"{self.elapsed_s:7.1f} s {self.cpu_s:7.1f} CPU s {self.peak_mb:4.0f} MB"


def main(words: list[str]) -> int:
    """Print a row for each format, twice: a first export, and one that finds it as it was."""
    given = _parser().parse_args(words)
    with ExitStack() as closing:
        folder = given.folder or Path(closing.enter_context(tempfile.TemporaryDirectory()))
        out = folder / f"out-{given.lines}"
        if not out.is_dir():
            write_lines(out, _lines(folder, given.lines))
        print(f"{given.lines:,} lines: a first export, and a second one", flush=True)
        for to in given.to:
            words = [to, "--out", os.fspath(folder / to), "--media", os.fspath(folder / "store")]
            first, second = (_measured(out, words) for _ in range(2))
            print(f"{to:10}", first, second, flush=True)
            _remove(folder / to)
            shutil.rmtree(out / ".export")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("lines", type=int, nargs="?", default=100_000)
    parser.add_argument("--to", nargs="+", choices=get_args(Format), default=get_args(Format))
    parser.add_argument("--folder", type=Path, help="keep films, media and lines here")
    return parser


def _lines(folder: Path, lines: int) -> Iterator[bytes]:
    """Lines like a run's; only what differs from clip to clip is made each time."""
    model: dict[str, Any] = {}
    for number in range(lines):
        one = film(folder / "videos", f"{number // _FILMS_A_FOLDER:04}/{number:07}.mp4")
        media = with_media(folder / "store", number)
        model = model or orjson.loads(line(one, ""))
        (clip,) = plan(one, MediaConfig())
        own = {"clip_id": clip.clip_id, "source": one.name, "path": one.real_path}
        yield orjson.dumps(model | own | media | {"caption": f"{number} {_WORDS}"}) + b"\n"


def _measured(out: Path, words: list[str]) -> _Needs:
    begun_s = monotonic_s()
    command = [sys.executable, "-m", "captionfleet", "export", os.fspath(out), "--quiet", "--to"]
    child = subprocess.Popen([*command, *words], stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(child.pid, 0)
    if status:
        raise RuntimeError(f"{words}: ended with {status}")
    return _Needs(monotonic_s() - begun_s, used.ru_utime + used.ru_stime, used.ru_maxrss / 1000)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
