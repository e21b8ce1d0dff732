"""Where the CPU of one clip goes: run as `python -m benchmarks.breakdown FILM [SAMPLING]`."""

import functools
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.steps import product
from captionfleet.media import as_video
from captionfleet.media.opening.packets import PacketReader
from captionfleet.media.picture.picture import PictureMaker
from captionfleet.media.sampling.full import FullSampler
from captionfleet.media.sampling.planned_decoder import PlannedDecoder
from captionfleet.media.sound.audio import AudioTrack

# What is measured by what it is called: each a class or module, and the function in it.
PARTS: dict[str, tuple[tuple[Any, str], ...]] = {
    "demux": ((PacketReader, "_read"),),
    "decode": ((PlannedDecoder, "_frames"), (FullSampler, "_decode")),
    "scale": ((PictureMaker, "make"),),
    "x264": ((as_video, "write_mp4"),),
    "audio": ((AudioTrack, "push"), (AudioTrack, "finish")),
}


def break_down(film: Path, sampling: str) -> dict[str, float]:
    """CPU seconds by part; `rest` is what no part took."""
    spent: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder, _measured(spent):
        begun_s = time.process_time()
        product(film, Path(folder), sampling)
        total_s = time.process_time() - begun_s
    return {**spent, "rest": total_s - spent.total(), "total": total_s}


@contextmanager
def _measured(spent: "Counter[str]") -> Iterator[None]:
    kept = [(owner, name, getattr(owner, name)) for part in PARTS.values() for owner, name in part]
    for part, places in PARTS.items():
        for owner, name in places:
            measure = _stepwise if part == "demux" else _timed
            setattr(owner, name, measure(getattr(owner, name), part, spent))
    try:
        yield
    finally:
        for owner, name, function in kept:
            setattr(owner, name, function)


def _timed(function: Callable[..., Any], part: str, spent: "Counter[str]") -> Callable[..., Any]:
    @functools.wraps(function)
    def timed(*arguments: Any) -> Any:
        begun_s = time.process_time()
        try:
            return function(*arguments)
        finally:
            spent[part] += time.process_time() - begun_s  # type: ignore[assignment]

    return timed


def _stepwise(function: Callable[..., Any], part: str, spent: "Counter[str]") -> Callable[..., Any]:
    """The same for a generator: what it takes from one item to the next."""

    @functools.wraps(function)
    def timed(*arguments: Any) -> Iterator[Any]:
        step = _timed(function(*arguments).__next__, part, spent)
        while True:
            try:
                item = step()
            except StopIteration:
                return
            yield item

    return timed


if __name__ == "__main__":
    mode = sys.argv[2] if len(sys.argv) > 2 else "exact"
    parts = break_down(Path(sys.argv[1]), mode)
    print(json.dumps({part: round(seconds, 3) for part, seconds in parts.items()}))
