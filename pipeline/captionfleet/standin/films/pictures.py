"""Draws the frames of generated films, with the frame's number as a barcode (any process).

A frame is three uint8 planes, luma and two chroma of half size (4:2:0, limited range): the
encoders' own format, so that nothing is converted.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["Look", "Picture", "draw", "pack", "read_barcode", "turn"]

Plane = NDArray[np.uint8]
Picture = tuple[Plane, Plane, Plane]

# One barcode block per bit: 1, sixteen bits of the number, four of a checksum, 0. The outer two
# distinguish left from right. Below is the same row inverted, so that a bit is a comparison and
# needs no threshold: it survives any colour grading, and nothing else in a frame looks like it.
BITS = 22
NUMBERS = 1 << 16
BARCODE_SHARE = 6  # of the height: two bands of a twelfth each
CONTRAST = 48  # luma steps: a smaller difference between a block and its inverse is not a barcode


@dataclass(frozen=True, slots=True)
class Scene:
    """One shot: colours as (Y, Cb, Cr), speed in picture widths per second."""

    sky: tuple[int, int, int]
    ground: tuple[int, int, int]
    ball: tuple[int, int, int]
    speed: float


SCENES = (
    Scene(sky=(180, 160, 105), ground=(150, 95, 145), ball=(81, 90, 240), speed=0.25),  # beach
    Scene(sky=(40, 140, 120), ground=(28, 130, 126), ball=(210, 60, 145), speed=0.1),  # night
    Scene(sky=(200, 120, 130), ground=(90, 95, 95), ball=(41, 240, 110), speed=0.6),  # meadow
    Scene(sky=(120, 100, 180), ground=(60, 115, 150), ball=(235, 128, 128), speed=0.0),  # sunset
)


@dataclass(frozen=True, slots=True)
class Look:
    """What a film shows: shots of `scene_s` seconds each, from `SCENES[first_scene]` on.

    Noise of ±`grain` luma steps makes the file larger.
    """

    scene_s: float = 3.0
    first_scene: int = 0
    moving: bool = True
    grain: int = 0


def draw(look: Look, number: int, time_s: float, width_px: int, height_px: int) -> Picture:
    """Frame `number` of a film at `time_s`; width and height must be even."""
    index = (look.first_scene + int(time_s / look.scene_s)) % len(SCENES)
    planes = [plane.copy() for plane in _background(index, width_px, height_px)]
    _draw_ball(planes, SCENES[index], time_s if look.moving else 0.0)
    if look.grain:
        _add_grain(planes[0], look.grain, number)
    _draw_barcode(planes, number)
    return planes[0], planes[1], planes[2]


def turn(picture: Picture, quarter_turns: int, *, mirrored: bool) -> Picture:
    """The frame, mirrored left to right if asked, then turned counter-clockwise."""
    y, u, v = (np.rot90(np.fliplr(p) if mirrored else p, quarter_turns) for p in picture)
    return y, u, v


def pack(picture: Picture) -> Plane:
    """The planes stacked, of shape (height * 3/2, width), as PyAV takes yuv420p."""
    height_px, width_px = picture[0].shape
    flat = np.concatenate([plane.reshape(-1) for plane in picture])
    return flat.reshape(height_px * 3 // 2, width_px)


def read_barcode(gray: NDArray[np.uint8]) -> int:
    """The number of a decoded frame, from its luma (or any gray) at any size.

    Raises:
        ValueError: the frame shows no upright barcode.
    """
    height_px, width_px = gray.shape
    band = height_px / (2 * BARCODE_SHARE)
    centres = ((np.arange(BITS) + 0.5) * width_px / BITS).astype(int)
    reach = max(width_px // (BITS * 4), 0)
    columns = centres[:, None] + np.arange(-reach, reach + 1)
    upper = gray[int(band * 0.25) : max(int(band * 0.75), 1)][:, columns].mean(axis=(0, 2))
    lower = gray[int(band * 1.25) : max(int(band * 1.75), 2)][:, columns].mean(axis=(0, 2))
    if np.abs(upper - lower).min() < CONTRAST:
        raise ValueError("no barcode: a block does not differ from its inverse")
    return _number(upper > lower)


def _number(bits: NDArray[np.bool_]) -> int:
    word = int("".join("1" if bit else "0" for bit in bits), 2)
    number = word >> 5 & NUMBERS - 1
    if word != _word(number):
        raise ValueError("no barcode: wrong checksum or mirrored")
    return number


def _word(number: int) -> int:
    checksum = sum(number >> shift & 15 for shift in (0, 4, 8, 12)) * 7 + 5 & 15
    return 1 << BITS - 1 | number << 5 | checksum << 1


def _draw_barcode(planes: list[Plane], number: int) -> None:
    y = planes[0]
    height_px, width_px = y.shape
    word = _word(number % NUMBERS)
    bits = np.array([word >> BITS - 1 - i & 1 for i in range(BITS)], dtype=np.uint8)
    row = (bits * 219 + 16)[np.arange(width_px) * BITS // width_px]
    middle, end = height_px // (2 * BARCODE_SHARE), height_px // BARCODE_SHARE
    y[:middle], y[middle:end] = row, 251 - row
    for chroma in planes[1:]:
        chroma[: (end + 1) // 2] = 128


@lru_cache(maxsize=8)
def _background(scene_index: int, width_px: int, height_px: int) -> Picture:
    scene = SCENES[scene_index]
    planes: list[Plane] = []
    for channel, (sky, ground) in enumerate(zip(scene.sky, scene.ground, strict=True)):
        shape = (height_px, width_px) if channel == 0 else (height_px // 2, width_px // 2)
        plane = np.full(shape, sky, dtype=np.uint8)
        plane[shape[0] * 3 // 4 :] = ground
        planes.append(plane)
    slope = np.linspace(20, -20, width_px).astype(np.int16)  # light from the left
    planes[0][:] = np.clip(planes[0].astype(np.int16) + slope, 16, 235)
    return planes[0], planes[1], planes[2]


def _draw_ball(planes: list[Plane], scene: Scene, time_s: float) -> None:
    height_px, width_px = planes[0].shape
    size = min(width_px, height_px) // 4 // 2 * 2
    swing = abs((time_s * scene.speed + 0.2) % 2 - 1)  # back and forth between the edges
    left = int(swing * (width_px - size)) // 2 * 2
    top = int(height_px * (0.45 + 0.15 * np.sin(time_s * 3 * scene.speed))) // 2 * 2
    for plane, value, scale in zip(planes, scene.ball, (1, 2, 2), strict=True):
        disc = _disc(size // scale)
        place = plane[top // scale :, left // scale :][: disc.shape[0], : disc.shape[1]]
        place[disc[: place.shape[0], : place.shape[1]]] = value


@lru_cache(maxsize=8)
def _disc(size: int) -> NDArray[np.bool_]:
    axis = np.arange(size) - (size - 1) / 2
    return axis[:, None] ** 2 + axis**2 <= (size / 2) ** 2


def _add_grain(luma: Plane, grain: int, number: int) -> None:
    # New noise for each frame: an encoder would predict noise that only moves.
    noise = np.random.default_rng(number).integers(-grain, grain + 1, luma.shape, dtype=np.int16)
    luma[:] = np.clip(luma + noise, 16, 235)
