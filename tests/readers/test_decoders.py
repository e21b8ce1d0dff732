"""The decoders that servers use read prepared videos as they were meant."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from captionfleet.standin.films.film import read_barcode, write_film
from tests.support.made import make
from tests.support.odd_films import MUTE

Frames = tuple[list[float], list[Any]]
"""The times in seconds, and the pictures as RGB of height x width x 3."""


def by_decord(path: Path) -> Frames:
    """As vLLM's and Qwen's own loaders have it."""
    decord = pytest.importorskip("decord")
    reader = decord.VideoReader(str(path), num_threads=1)
    numbers = list(range(len(reader)))
    times_s = reader.get_frame_timestamp(numbers)[:, 0].tolist()
    return times_s, list(reader.get_batch(numbers).asnumpy())


def by_torchcodec(path: Path) -> Frames:
    """As transformers has it; torch is too large to install for every run of these tests."""
    decoders = pytest.importorskip(
        "torchcodec.decoders", reason="torchcodec is not installed", exc_type=ImportError
    )
    decoder = decoders.VideoDecoder(str(path))
    found = decoder.get_frames_in_range(0, len(decoder))
    return found.pts_seconds.tolist(), list(found.data.permute(0, 2, 3, 1).numpy())


@pytest.fixture(params=[by_decord, by_torchcodec])
def read(request: pytest.FixtureRequest) -> Callable[[Path], Frames]:
    """One of the decoders."""
    return request.param


@pytest.mark.parametrize("seconds", [1.0, 8.0, 61.0])
@pytest.mark.parametrize("preset", ["one_fps", "fast"])
def test_every_frame_is_read_at_its_second(
    tmp_path: Path, read: Callable[[Path], Frames], preset: str, seconds: float
) -> None:
    """All frames, in order, each the one of its own second."""
    film = write_film(tmp_path / "film.mp4", replace(MUTE, seconds=seconds))
    made = make(film, tmp_path, video_preset=preset)
    times_s, pictures = read(made.video)
    assert times_s == list(range(max(2, min(60, round(seconds)))))
    numbers = [
        read_barcode(np.asarray(one, np.float32).mean(2).astype(np.uint8)) for one in pictures
    ]
    assert numbers == made.numbers()
    assert numbers == sorted(numbers)
