"""Line files whose rare values come late, as readers that guess types dislike it."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from captionfleet.errors import FailureCode, Stage
from captionfleet.ledger.format.serialising import caption_line, failure_line
from captionfleet.messages import Attempt, Caption, Clip, Failure, Latency, Source, Usage
from tests.support.outcomes import FACTS, make_caption

LINES = 30_000
LATE = 25_000
"""The first line with a rare value: beyond polars' 100, DuckDB's 20,480 and 10 MB of datasets."""
AT = "2026-11-22T06:00:00.123Z"


def write_captions(path: Path) -> Path:
    """Write captions of every kind."""
    return _write(path, (caption_line(_caption(n), AT, f"f{7:015x}") for n in range(LINES)))


def write_failures(path: Path) -> Path:
    """Write failures of every kind."""
    return _write(path, (failure_line(_failure(n), AT) for n in range(LINES)))


def _write(path: Path, lines: Iterator[bytes]) -> Path:
    with path.open("wb") as file:
        file.writelines(lines)
    return path


def _clip(number: int) -> Clip:
    name = f"{number}.mp4" if number < LATE else f"{number}\udcff.mp4"
    source = Source(f"/videos/{name}", name, 1000, 5)
    return Clip(f"a{number:031x}", source, 0.0, 60.0, f"b{number:031x}" if number >= LATE else "")


def _caption(number: int) -> Caption:
    plain = make_caption(
        _clip(number),
        usage=Usage(),
        latency=Latency(1.0, 0.0, 3.0, None, 5.0),
    )
    silent = replace(FACTS, has_audio=False, audio_s=0, audio_bytes=0, audio_sha256=None)
    if number < LATE:
        return replace(plain, facts=silent)
    return replace(
        plain,
        facts=replace(silent, audio_sha256="b" * 64, audio_s=59.5, source_s=312),
        usage=Usage(7402, 180, 7582, 16),
        latency=Latency(1.92, 0.01, 3.3, 0.4, 5.2, 1.5, 0.25, 0.125),
        server={"server-time-to-first-token": 0.4, "backend-host": "h-1", "x-request-id": "r"},
        flags=("truncated", "degenerate"),
        media_key="ab" * 20,
        data={"scene": ["beach", number]} if number % 2 else ["beach"],
        hedged=True,
    )


def _failure(number: int) -> Failure:
    if number < LATE:
        return Failure(_clip(number), Stage.WORKERS, FailureCode.NO_FRAMES, "no frames")
    attempts = (Attempt("omni-a", 1.0, 2.5, FailureCode.OVERLOADED, 503), Attempt("b", 3.0, 4.0))
    return Failure(_clip(number), Stage.SENDER, FailureCode.OVERLOADED, "full", attempts)
