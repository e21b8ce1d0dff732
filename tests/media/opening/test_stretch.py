"""A pause of the recorder is told from bytes that were overwritten or left out."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import av
import pytest

from captionfleet.media.opening.stretch import is_unbroken
from tests.support import oracle

FILMS = {
    "film.ts": ("-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac"),
    "film.m2ts": ("-c:v", "mpeg2video", "-c:a", "mp2"),
    "film.mpg": ("-c:v", "mpeg2video", "-c:a", "mp2"),
    "film.wmv": ("-c:v", "wmv2", "-c:a", "wmav2"),
}
MIDDLE_S = 1.0


def steps(path: Path) -> tuple[str, list[tuple[int, int]]]:
    """The format, and for each packet where it and the one before it in its stream begin."""
    begins: dict[int, int] = {}
    found = []
    with av.open(str(path)) as container:
        for packet in container.demux():
            if packet.size and packet.pos is not None:
                if packet.stream_index in begins and begins[packet.stream_index] < packet.pos:
                    found.append((begins[packet.stream_index], packet.pos))
                begins[packet.stream_index] = packet.pos
        return container.format.name, found


def over(data: bytes) -> Callable[[int, int], bytes]:
    """A function that reads these bytes."""
    return lambda offset, size_bytes: data[offset : offset + size_bytes]


@pytest.mark.parametrize("name", FILMS)
def test_framing_shows_what_is_missing(name: str, tmp_path: Path) -> None:
    """A sound film is unbroken throughout; not so where bytes are zero, other ones or gone."""
    picture = ("-f", "lavfi", "-i", "testsrc2=s=160x90:r=25:d=3")
    path = tmp_path / name
    oracle.ffmpeg(*picture, "-f", "lavfi", "-i", "sine=d=3", *FILMS[name], path)
    kind, found = steps(path)
    data = path.read_bytes()
    assert found
    assert all(is_unbroken(kind, over(data), *step) for step in found)
    check = partial(is_unbroken, kind)
    begin, end = found[0][0], found[-1][1]
    a, b = begin + (end - begin) // 3, begin + (end - begin) // 2
    assert not check(over(data[:a] + bytes(b - a) + data[b:]), begin, end)
    assert not check(over(data[:a] + b"\xff" * (b - a) + data[b:]), begin, end)
    left_out = b - a + 1  # of a size that no framing has
    assert not check(over(data[:a] + data[a + left_out :]), begin, end - left_out)


def test_transport_packets_that_are_left_out_are_missed(tmp_path: Path) -> None:
    """The counters of a stream show a loss that leaves all sync bytes in their places."""
    path = tmp_path / "film.ts"
    oracle.ffmpeg("-f", "lavfi", "-i", "testsrc2=s=160x90:r=25:d=2", *FILMS["film.ts"], path)
    data = path.read_bytes()
    begin, end = 188 * 20, 188 * (len(data) // 188 - 1)
    cut = begin + 188 * 30
    assert is_unbroken("mpegts", over(data), begin, end)
    assert not is_unbroken("mpegts", over(data[:cut] + data[cut + 188 * 5 :]), begin, end - 188 * 5)


@pytest.mark.parametrize("kind", ["mpegts", "mpeg", "asf"])
@pytest.mark.parametrize("data", [b"", b"G", b"\0\0\1", b"\0\0\1\xba", bytes(1000), b"F" * 1000])
def test_what_is_no_framing_is_none(kind: str, data: bytes) -> None:
    """Any bytes are looked at without an error."""
    assert not is_unbroken(kind, over(data), 0, 900)
    assert not is_unbroken(kind, over(data), 5, 5)
    assert not is_unbroken(kind, over(data), -1, 5)
