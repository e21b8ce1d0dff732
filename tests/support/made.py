"""Clips prepared in the test's own process, and what another decoder sees and hears of them."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from captionfleet.media.prepare import prepare_clip
from captionfleet.messages import MediaFacts, MediaSpec
from captionfleet.standin.films.film import read_barcode
from captionfleet.workers.store import MediaStore, media_key
from tests.support import oracle
from tests.support.preparing import clip_of

TICK_LOUDNESS = 0.2


@dataclass(frozen=True, slots=True)
class Made:
    """A prepared clip."""

    facts: MediaFacts
    video: Path
    audio: Path | None

    def grays(self) -> list[NDArray[np.uint8]]:
        """The luma of every frame that OpenCV reads, at full range."""
        return [
            np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), np.uint8)
            for frame in oracle.decode_cv2(self.video)
        ]

    def numbers(self) -> list[int | None]:
        """The barcode of every frame."""
        return [number(gray) for gray in self.grays()]

    def sound(self) -> NDArray[np.float32]:
        """The samples that soundfile reads, 16,000 a second."""
        assert self.audio is not None
        samples, rate_hz = oracle.decode_audio(self.audio)
        assert rate_hz == 16_000
        return samples

    def ticks_s(self) -> list[float]:
        """When each tick begins."""
        loud = np.flatnonzero(np.abs(self.sound()) > TICK_LOUDNESS)
        begins = np.flatnonzero(np.diff(loud, prepend=-16_000) > 8000)
        return [float(at) / 16_000 for at in loud[begins]]

    def luma(self) -> list[NDArray[np.uint8]]:
        """The luma plane of every frame, as it is stored."""
        with av.open(self.video) as container:
            return [frame.to_ndarray()[: frame.height] for frame in container.decode(video=0)]


def number(gray: NDArray[np.uint8]) -> int | None:
    """The barcode of a picture, None where it cannot be read."""
    try:
        return read_barcode(gray)
    except ValueError:
        return None


def make(path: Path, folder: Path, *, seconds: float = 60.0, **settings: Any) -> Made:
    """Prepare a file, unless it is in the store; raises what `prepare_clip` raises."""
    clip, spec = clip_of(path, seconds=seconds), MediaSpec(**settings)
    own = os.fsencode(path.name).hex()[:60]
    drafts, hold = folder / "drafts" / own, folder / "store" / "own" / own
    for parent in (drafts.parent, hold.parent):
        parent.mkdir(parents=True, exist_ok=True)
    store, key = MediaStore(folder / "store"), media_key(clip, spec)
    media = store.find(key, hold)
    if media is None:
        facts = prepare_clip(clip, spec, drafts).facts
        media = store.keep(key, drafts, hold, facts, spec.max_payload_bytes)
    return Made(media.facts, media.video, media.audio)
