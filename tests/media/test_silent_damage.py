"""Decoders that skip what they cannot read, without an error, leave damage that is counted."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from captionfleet.standin.films.film import write_film
from tests.support import oracle
from tests.support.made import make
from tests.support.odd_films import MUTE

FILM = replace(MUTE, seconds=8.0, fps=Fraction(10), gop_s=2.0)


def _av1(folder: Path) -> Path:
    return write_film(folder / "film.mp4", replace(FILM, codec="libsvtav1"))


def _theora(folder: Path) -> Path:
    source = write_film(folder / "source.mkv", replace(FILM, codec="ffv1"))
    oracle.ffmpeg("-i", source, "-c:v", "libtheora", "-q:v", "7", "-g", "20", folder / "film.ogv")
    return folder / "film.ogv"


def _middle_zeroed(path: Path) -> Path:
    data = bytearray(path.read_bytes())
    begin = data.index(b"mdat") + 4 if b"mdat" in data else len(data) // 10
    end = data.index(b"moov") - 4 if b"moov" in data else len(data)
    hit, size = begin + int(0.35 * (end - begin)), int(0.35 * (end - begin))
    data[hit : hit + size] = bytes(size)
    path.write_bytes(data)
    return path


def test_av1_overwritten_with_zeros_is_damaged(tmp_path: Path) -> None:
    """The seconds whose pictures are gone are not covered, and their packets are counted."""
    whole = make(_av1(tmp_path), tmp_path)
    assert (whole.facts.damage.coverage, whole.facts.decode_errors) == (1.0, 0)
    hurt = make(_middle_zeroed(_av1(tmp_path)), tmp_path)
    assert hurt.facts.frames == whole.facts.frames
    assert 0.5 <= hurt.facts.damage.coverage < 0.9
    assert hurt.facts.damage.packets_lost >= 10


@pytest.mark.parametrize("write", [_av1, _theora])
def test_a_whole_film_loses_nothing(tmp_path: Path, write: object) -> None:
    """What decoders hold back for a while is not taken for lost."""
    assert callable(write)
    facts = make(write(tmp_path), tmp_path).facts
    assert (facts.damage.coverage, facts.damage.packets_lost, facts.decode_errors) == (1.0, 0, 0)


def test_theora_overwritten_with_zeros_is_damaged(tmp_path: Path) -> None:
    """An Ogg file that lost its middle says so."""
    facts = make(_middle_zeroed(_theora(tmp_path)), tmp_path).facts
    assert facts.damage.coverage < 1.0
    assert facts.damage.packets_lost >= 10
