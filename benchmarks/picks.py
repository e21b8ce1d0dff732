"""Whether the contenders of the media benchmark pick the same frames: before any ratio is told."""

from pathlib import Path

from benchmarks import steps
from tests.support import oracle
from tests.support.sampled import frame_hash, sample

DEADLINE_S = 900.0


class OtherFramesError(Exception):
    """Contenders do not do the same work, so that a ratio would mean nothing."""


def require_same_frames(film: Path) -> None:
    """Compare what is picked, bit for bit, before it is scaled.

    ffmpeg's two commands share their filter with its one. `fast` is to pick other frames of the
    same seconds, in order.

    Raises:
        OtherFramesError: they differ.
    """
    ffmpeg = _picked_by_ffmpeg(film)
    pyav: list[str] = []
    steps.decode_all(film, lambda frame: pyav.append(frame_hash(frame)), lambda _: None)
    exact, fast = sample(film, "exact"), sample(film, "fast")
    seconds = [int(time_s + 0.5) for time_s in fast.times_s]
    is_ordered = fast.times_s == sorted(set(fast.times_s))
    if not exact.hashes == pyav == ffmpeg:
        raise OtherFramesError(f"{film.name}: not the same frames")
    if seconds != list(range(len(ffmpeg))) or not is_ordered:
        raise OtherFramesError(f"{film.name}: fast takes frames of other seconds")


def _picked_by_ffmpeg(film: Path) -> list[str]:
    filters = ("-t", "60", "-vf", "fps=1", "-an", "-f", "framemd5", "-")
    printed = oracle.ffmpeg("-noautorotate", "-i", film, *filters, deadline_s=DEADLINE_S)
    rows = [line for line in printed.decode().splitlines() if not line.startswith("#")]
    return [row.rpartition(",")[2].strip() for row in rows]
