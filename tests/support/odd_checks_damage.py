"""Checks that an odd file is damaged, hostile or oddly named as its name says."""

from pathlib import Path

import av
import pytest

from tests.support.odd_checks import Check, frames
from tests.support.odd_checks_tracks import tracks


def odd_name(part: str) -> Check:
    def check(path: Path) -> None:
        assert part in path.name
        assert len(frames(path)) == 60

    return check


def cut_short(path: Path) -> None:
    """The header promises five seconds, some but not all frames decode, and one packet fails."""
    with av.open(path) as container:
        assert container.duration == 5 * av.time_base
    decoded, failed = decode_by_packet(path)
    assert 60 < decoded < 120
    assert failed == 1


def frames_missing_without_error(path: Path) -> None:
    decoded, failed = decode_by_packet(path)
    assert 60 < decoded < 149
    assert failed == 0


def packets_fail(path: Path) -> None:
    decoded, failed = decode_by_packet(path)
    assert decoded > 100
    assert failed > 5
    with pytest.raises(av.InvalidDataError):
        frames(path)


def decode_by_packet(path: Path) -> tuple[int, int]:
    decoded = failed = 0
    with av.open(path) as container:
        for packet in container.demux(container.streams.video[0]):
            try:
                decoded += len(packet.decode())
            except av.InvalidDataError:
                failed += 1
    return decoded, failed


def cannot_be_opened(path: Path) -> None:
    with pytest.raises(av.InvalidDataError):
        av.open(path)


def reads_another_file(path: Path) -> None:
    """Opened without care, this script shows the frames of the file it names."""
    assert path.stat().st_size < 100
    assert len(frames(path)) == 60


def names_another_file(path: Path) -> None:
    assert b"secret.ts" in path.read_bytes()
    assert path.with_name("secret.ts").exists()
    cannot_be_opened(path)


def no_streams(path: Path) -> None:
    assert path.stat().st_size == 261
    tracks()(path)


def gif_bomb(path: Path) -> None:
    """Tiny, a gigabyte once decoded, and sound: on a small canvas the same bytes decode."""
    data = path.read_bytes()
    side = data[6:8]
    assert len(data) < 64
    assert int.from_bytes(side, "little") ** 2 * 4 > 1e9
    small = path.with_name("small.gif")
    small.write_bytes(data.replace(side * 2, b"\x20\x00" * 2))
    assert len(frames(small)) == 1
    assert_stopped_by_max_pixels(path)


def jpeg_bomb(path: Path) -> None:
    assert path.read_bytes().count((30_000).to_bytes(2, "big") * 2) == 2
    assert_stopped_by_max_pixels(path)


def assert_stopped_by_max_pixels(path: Path) -> None:
    with av.open(path) as container:
        container.streams.video[0].codec_context.options = {"max_pixels": str(8192**2)}
        with pytest.raises((av.InvalidDataError, av.ArgumentError)):
            next(container.decode(video=0))
