"""H.264 that no encoder at hand makes is sampled by plan as by decoding everything."""

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from tests.support import oracle
from tests.support.h264_writer import Picture, closed_gops, open_gops, write_h264
from tests.support.sampled import every_frame, sample

EXACT, INEXACT, GRADUAL = (0, True), (0, False), (3, True)
GOPS = 5
# What is written, and how many packets exact and fast may decode. Where only the first picture
# is an entry, exact leaves out the B-pictures, and fast goes no further than it must.
STREAMS: dict[str, tuple[Callable[[], Iterable[Picture]], int, int]] = {
    "closed.ts": (lambda: closed_gops(GOPS), 25, 5),
    "closed.mp4": (lambda: closed_gops(GOPS), 25, 5),
    "fields.ts": (lambda: closed_gops(GOPS, fields=True), 50, 10),
    "open.ts": (lambda: open_gops(GOPS, EXACT), 33, 5),
    "open.mkv": (lambda: open_gops(GOPS, EXACT), 33, 5),
    "open_fields.ts": (lambda: open_gops(GOPS, EXACT, fields=True), 66, 10),
    "open_inexact.ts": (lambda: open_gops(GOPS, INEXACT, oldest=True), 42, 31),
    "open_gradual.ts": (lambda: open_gops(GOPS, GRADUAL, oldest=True), 42, 31),
    "open_mute.mp4": (lambda: open_gops(GOPS, None, oldest=True), 42, 31),
    "open_mute_fields.ts": (lambda: open_gops(GOPS, None, fields=True), 84, 62),
}


@pytest.mark.parametrize("name", STREAMS)
def test_entries_are_what_the_stream_says_and_not_what_the_container_says(
    tmp_path: Path, name: str
) -> None:
    """Nothing is skipped to a picture that refers back, however it is labelled; fields pair up."""
    pictures, most_exact, most_fast = STREAMS[name]
    path = write_h264(tmp_path / name, pictures())
    full, exact, fast = (sample(path, mode) for mode in ("full", "exact", "fast"))
    assert exact.frames == full.frames
    assert exact.hashes == [digest for _, digest in oracle.framemd5_fps1(path, autorotate=False)]
    decoded = every_frame(path)
    assert fast.hashes == [decoded[time] for time in fast.times_s]
    assert len(fast.hashes) == len(full.hashes) == GOPS
    assert (exact.replays, fast.replays) == (0, 0)
    assert exact.decoded <= most_exact
    assert fast.decoded <= most_fast
