"""Packets are read past a container's errors, but not for ever."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import av
from av.container import InputContainer

from captionfleet.media.opening.packets import PacketReader


class Scripted:
    """A container that gives packets, numbers of the film's, and errors in a given order."""

    def __init__(self, film: InputContainer, script: Sequence[int | type[Exception]]) -> None:
        self.format = film.format
        self.packets = [packet for packet in film.demux(video=0) if packet.size]
        self._script = iter(script)

    def demux(self, *_: Any) -> Iterator[Any]:
        """Go on with the script."""
        for step in self._script:
            if not isinstance(step, int):
                raise step(1094995529, "scripted")
            yield self.packets[step]


def read(film: Path, *script: int | type[Exception]) -> tuple[int, int]:
    """How many packets come, and how many errors are counted."""
    with av.open(film) as container:
        scripted = Scripted(container, script)
        reader = PacketReader(cast("InputContainer", scripted), [])
        return sum(1 for _ in reader), reader.errors


def test_packets_after_an_error_are_read(film: Path) -> None:
    """An error in the middle costs nothing that the demuxer can still give."""
    assert read(film, 0, 1, av.InvalidDataError, 2, av.InvalidDataError, 3) == (4, 2)


def test_errors_in_a_row_end_the_file(film: Path) -> None:
    """A demuxer that gives the same error for ever is left after ten."""
    assert read(film, 0, *[av.InvalidDataError] * 1000) == (1, 10)


def test_errors_are_bounded_altogether(film: Path) -> None:
    """A file with an error after every packet is left after a hundred."""
    assert read(film, *[0, av.InvalidDataError] * 1000) == (100, 100)


def test_a_long_hole_does_not_end_the_film(film: Path) -> None:
    """A transport stream's demuxer that finds no packet for ten megabytes is asked to go on."""
    assert read(film, 0, *[av.BlockingIOError] * 160, 1, 2) == (3, 1)


def test_a_hole_without_an_end_is_left(film: Path) -> None:
    """After a gibibyte of nothing, no more is looked for."""
    assert read(film, 0, *[av.BlockingIOError] * 20_000, 1) == (1, 1)


def test_a_time_that_is_not_believable_is_removed(film: Path) -> None:
    """A packet forty hours after the one before it has no DTS and no PTS; the next one has both."""
    with av.open(film) as container:
        scripted = Scripted(container, [0, 1, 2])
        late = scripted.packets[1]
        assert late.dts is not None
        assert late.pts is not None
        ticks = round(40 * 3600 / late.time_base)
        late.dts, late.pts = late.dts + ticks, late.pts + ticks
        reader = PacketReader(cast("InputContainer", scripted), [])
        missing = [(packet.dts is None, packet.pts is None) for packet in reader]
    assert missing == [(False, False), (True, True), (False, False)]
