"""Films of one to three seconds, quick to make and to prepare, no two alike in picture or size."""

import os
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import pytest

from captionfleet.standin.films.film import Film, Look, Sound, write_film
from tests.support.shared import shared_folder

HEIGHT_PX = 48
PREPARED_HEIGHT_PX = 360
_MINUTE_NS = 60 * 10**9


@dataclass(frozen=True, slots=True)
class Library:
    """Films to be read only, and a media store for runs that send them: each is prepared once."""

    films: list[Path]
    store: Path

    @property
    def cache(self) -> Path:
        """Where a command looks for that store, if it lies there."""
        return self.store.parents[1]


def tiny_film(number: int) -> Film:
    """The film of this number: its width tells it from all others, every fourth is silent."""
    sound = Sound(codec="aac", layout="mono", sample_rate_hz=16_000)
    return Film(
        seconds=1.0 + number % 3,
        width_px=64 + 4 * number,
        height_px=HEIGHT_PX,
        fps=Fraction(5),
        look=Look(first_scene=number % 4, grain=number % 5),
        sounds=(sound,) if number % 4 else (),
    )


def shared_library(factory: pytest.TempPathFactory, count: int = 20) -> Library:
    """The films 0 to `count` - 1 of this session, and a store of this process."""
    films = shared_folder(factory, f"films-{count}", lambda folder: write_tiny_films(folder, count))
    return Library(sorted(films.iterdir()), factory.mktemp("library") / "store")


def write_tiny_films(folder: Path, count: int) -> list[Path]:
    """Write the films 0 to `count` - 1 as clip-00.mp4 and so on."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        write_film(folder / f"clip-{number:02}.mp4", tiny_film(number))
    return lay_to_rest(folder)


def lay_to_rest(folder: Path) -> list[Path]:
    """Make the files of a folder a minute old, so that no run waits for them to settle."""
    files = sorted(path for path in folder.iterdir() if not path.is_dir())
    for path in files:
        then_ns = path.lstat().st_mtime_ns - _MINUTE_NS
        os.utime(path, ns=(then_ns, then_ns), follow_symlinks=False)
    return files


def shown_width_px(number: int) -> int:
    """How wide the film of this number is once it is prepared."""
    return tiny_film(number).width_px * PREPARED_HEIGHT_PX // HEIGHT_PX
