"""Scenes are found in films of any kind, where they change."""

from fractions import Fraction
from pathlib import Path

import pytest

from captionfleet.standin.films.film import Film, Look, Sound, write_film
from tests.support.windowed import scenes_of

SCENE_S, FILM_S = 3.5, 12.0


@pytest.mark.parametrize(
    ("ending", "codec", "fps", "start_s"),
    [(".ts", "libx264", 25, 40.0), (".mkv", "libvpx-vp9", 10, 0.0),
     (".avi", "mpeg4", 25, 0.0), (".mp4", "libx264", 2, 0.0)],
)  # fmt: skip
def test_scenes_are_found(
    ending: str, codec: str, fps: int, start_s: float, tmp_path: Path
) -> None:
    """Each change within a tenth of a second or a picture, and nothing else."""
    film = Film(
        seconds=FILM_S, width_px=160, height_px=96, fps=Fraction(fps), gop_s=5, codec=codec,
        start_s=start_s, sounds=(Sound("ticks", 16_000, "mono", start_s=start_s, seconds=FILM_S),)
        if ending == ".ts" else (), look=Look(scene_s=SCENE_S, grain=4),
    )  # fmt: skip
    path = write_film(tmp_path / f"film{ending}", film)
    found = scenes_of(path)
    expected = [SCENE_S, 2 * SCENE_S, 3 * SCENE_S]
    assert found == pytest.approx(expected, abs=max(0.13, 1 / fps))


def test_damage_costs_no_scene_elsewhere(tmp_path: Path) -> None:
    """What cannot be decoded is passed over."""
    film = Film(seconds=FILM_S, width_px=160, height_px=96, fps=Fraction(25), gop_s=1,
                look=Look(scene_s=SCENE_S))  # fmt: skip
    path = write_film(tmp_path / "film.mkv", film)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 400] = bytes(400)
    path.write_bytes(data)
    found = scenes_of(path)
    assert all(any(abs(at_s - one) < 0.13 for one in found) for at_s in (SCENE_S, 3 * SCENE_S))
