"""How far encoded pictures are from those that were to be encoded, as ffmpeg's filters count it."""

import math
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["Quality", "quality_of"]

Planes = NDArray[np.uint8]
# Beyond this no eye sees a difference, and two pictures that are equal have no PSNR.
_MOST_DB = 60.0
_SSIM_C1, _SSIM_C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
_PLANE_WEIGHTS = (4, 1, 1)  # by samples, of 4:2:0


@dataclass(frozen=True, slots=True)
class Quality:
    """Means over the frames of one film, and its worst frame; PSNR in dB over all planes."""

    psnr_db: float
    ssim: float
    worst_db: float


def quality_of(originals: list[Planes], encoded: Path) -> Quality:
    """Compare every frame of an MP4 with yuv420p pictures, as `VideoFrame.to_ndarray` gives them.

    Raises:
        ValueError: their numbers differ.
    """
    with av.open(encoded) as file:
        file.streams.video[0].thread_count = 1
        pairs = list(
            zip(
                originals,
                (np.asarray(one.to_ndarray(), np.uint8) for one in file.decode(video=0)),
                strict=True,
            )
        )
    each_db = [_psnr_db(original, seen) for original, seen in pairs]
    each_ssim = [_ssim(original, seen) for original, seen in pairs]
    return Quality(sum(each_db) / len(pairs), sum(each_ssim) / len(pairs), min(each_db))


def _psnr_db(original: Planes, seen: Planes) -> float:
    error = float(np.mean(np.square(original.astype(np.int32) - seen)))
    return min(_MOST_DB, 10 * math.log10(255**2 / error)) if error else _MOST_DB


def _ssim(original: Planes, seen: Planes) -> float:
    planes = zip(_PLANE_WEIGHTS, _planes(original), _planes(seen), strict=True)
    return sum(weight * _plane_ssim(*pair) for weight, *pair in planes) / sum(_PLANE_WEIGHTS)


def _planes(picture: Planes) -> tuple[Planes, Planes, Planes]:
    height, width = picture.shape[0] * 2 // 3, picture.shape[1]
    colours = picture[height:].reshape(2, height // 2, width // 2)
    return picture[:height], colours[0], colours[1]


def _plane_ssim(original: Planes, seen: Planes) -> float:
    """Windows of 8 x 8, every 4 samples."""
    one, other = original.astype(np.float32), seen.astype(np.float32)
    mean, other_mean = _means(one), _means(other)
    sample = 64 / 63
    spread = sample * (_means(one * one) - mean**2 + _means(other * other) - other_mean**2)
    shared = sample * (_means(one * other) - mean * other_mean)
    light = (2 * mean * other_mean + _SSIM_C1) / (mean**2 + other_mean**2 + _SSIM_C1)
    return float(np.mean(light * (2 * shared + _SSIM_C2) / (spread + _SSIM_C2)))


def _means(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    box = cv2.boxFilter(plane, -1, (8, 8), anchor=(0, 0), borderType=cv2.BORDER_REFLECT)
    return np.asarray(box[:-7:4, :-7:4], np.float32)
