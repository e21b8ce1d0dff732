"""Defines the demo's films, and ways to damage a file (any process)."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from captionfleet.standin.films.film import Film, Look, Sound, write_film

__all__ = ["DEMO_FILMS", "cut_off_no_moov", "damaged_middle", "demo_films"]

BEACH, NIGHT, MEADOW, SUNSET = (Look(scene_s=4.0, first_scene=scene) for scene in range(4))

DEMO_FILMS: dict[str, Film] = {
    "holiday/beach walk.mp4": Film(
        seconds=12, gop_s=4, look=BEACH, sounds=(Sound(sample_rate_hz=44_100),)
    ),
    "holiday/phone portrait.mp4": Film(
        seconds=8, width_px=540, height_px=960, look=MEADOW, sounds=(Sound(layout="mono"),)
    ),
    "holiday/phone held upright.mov": Film(
        seconds=6, width_px=360, height_px=640, rotation_deg=-90, look=SUNSET,
        sounds=(Sound("tone", layout="mono"),),
    ),
    "doorbell without sound.mp4": Film(
        seconds=10, width_px=480, height_px=270, fps=Fraction(15), look=NIGHT
    ),
    "screen recording, variable rate.mkv": Film(
        seconds=9, frame_durations_s=(0.033, 0.033, 0.7, 0.1, 1.9), look=replace(SUNSET, grain=2)
    ),
    "garden in HEVC.mp4": Film(
        seconds=8, width_px=480, height_px=270, fps=Fraction(25), codec="libx265", look=MEADOW,
        sounds=(Sound("ticks"),),
    ),
    "lecture of five minutes.mp4": Film(
        seconds=300, width_px=320, height_px=180, fps=Fraction(5), gop_s=10,
        look=Look(scene_s=45.0),
        sounds=(Sound("speech", 16_000, "mono", "libopus", 24_000),),
    ),
}  # fmt: skip
DAMAGED = "damaged download.mp4"


def demo_films(folder: Path) -> list[Path]:
    """Write the demo's films below `folder`: seven valid ones, and one that no program can open."""
    return [_written(folder / name, film) for name, film in DEMO_FILMS.items()] + [
        cut_off_no_moov(_written(folder / DAMAGED, Film(seconds=5)))
    ]


def _written(path: Path, film: Film) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_film(path, film)


def cut_off_no_moov(path: Path, share: float = 0.6) -> Path:
    """Keep the first `share` of an MP4 with its index at the end, so that it cannot be opened."""
    with path.open("r+b") as file:
        file.truncate(int(path.stat().st_size * share))
    return path


def damaged_middle(path: Path, share: float = 0.1, seed: int = 1) -> Path:
    """Overwrite the middle `share` of a file with noise, so that it opens and some packets fail."""
    size_bytes = path.stat().st_size
    count = int(size_bytes * share)
    with path.open("r+b") as file:
        file.seek((size_bytes - count) // 2)
        file.write(np.random.default_rng(seed).bytes(count))
    return path
