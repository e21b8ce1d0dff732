"""Decides how to lower the quality so that a clip fits into a request; pure (worker process)."""

from dataclasses import dataclass
from fractions import Fraction

from captionfleet.messages import base64_bytes

__all__ = [
    "JpegRung",
    "Rung",
    "next_jpeg_rung",
    "next_rung",
    "qscale_of",
    "video_budget_bytes",
]

_CRF_STEPS = (4, 8, 12)
_HEIGHT_STEPS = (Fraction(4, 5), Fraction(2, 3), Fraction(1, 2))
_WORST_CRF = 51
# x264 halves the rate of common films every six steps of CRF; but clips that are too large are
# mostly noise, which takes about twice as many steps. Noise shrinks at least with its area.
_CRF_PER_HALF = 12.0
_SAFETY = 1.02
_JPEG_QUALITIES = (75, 60, 45, 30)
# FFmpeg's JPEG encoder multiplies MPEG-1's intra matrix (27 on average) by qscale/8; libjpeg
# multiplies its own (58 on average, for luma) by a percentage that follows from the quality.
_QSCALE_PER_PERCENT = 58 / 100 * 8 / 27
_QSCALES = 2, 31
# Of generated films and photographs at 360p, from quality 85 to 30; noise is flatter.
_JPEG_EXPONENT = 0.6


@dataclass(frozen=True, slots=True)
class Rung:
    """The settings of one video encoding."""

    crf: int
    height_px: int


@dataclass(frozen=True, slots=True)
class JpegRung:
    """The settings of a clip's JPEGs."""

    quality: int
    height_px: int


def qscale_of(quality: int) -> int:
    """FFmpeg's quantiser for a JPEG quality from 1 to 100, as libjpeg counts it.

    The percentage is that of libjpeg's `jpeg_quality_scaling`.
    """
    percent = 5000 / quality if quality < 50 else 200 - 2 * quality  # noqa: PLR2004 - theirs
    least, most = _QSCALES
    return min(max(round(percent * _QSCALE_PER_PERCENT), least), most)


def video_budget_bytes(max_payload_bytes: int, audio_bytes: int) -> int:
    """The largest video for which the base64 of both parts stays below the limit."""
    room = max_payload_bytes - base64_bytes(audio_bytes)
    return max(0, (room - 1) // 4 * 3)


def next_rung(first: Rung, now: Rung, size_bytes: int, budget_bytes: int) -> Rung | None:
    """The next settings to try; None if none are left.

    Chooses the first rung below `now` that is predicted to fit: CRF rises before height falls. Each
    size seen corrects the prediction, so that one or two encodings suffice.

    Args:
        first: the settings that the job asks for.
        now: the settings just tried.
        size_bytes: the size that they gave.
        budget_bytes: the largest size allowed.
    """
    rungs = _ladder(first)
    below = rungs[rungs.index(now) + 1 :]
    if not below or budget_bytes <= 0:
        return None
    return next((r for r in below if _promise(now, r, size_bytes) < budget_bytes), below[-1])


def next_jpeg_rung(
    first: JpegRung, now: JpegRung, size_bytes: int, budget_bytes: int
) -> JpegRung | None:
    """The same for JPEGs: quality goes down before height does."""
    qualities = [first.quality, *(one for one in _JPEG_QUALITIES if one < first.quality)]
    rungs = [JpegRung(quality, first.height_px) for quality in qualities]
    rungs += [JpegRung(qualities[-1], height_px) for height_px in _heights(first.height_px)]
    below = rungs[rungs.index(now) + 1 :]
    if not below or budget_bytes <= 0:
        return None
    promising = (r for r in below if _jpeg_promise(now, r, size_bytes) < budget_bytes)
    return next(promising, below[-1])


def _jpeg_promise(now: JpegRung, then: JpegRung, size_bytes: int) -> float:
    coarser: float = (qscale_of(now.quality) / qscale_of(then.quality)) ** _JPEG_EXPONENT
    return float(size_bytes * coarser * (then.height_px / now.height_px) ** 2 * _SAFETY)


def _heights(height_px: int) -> list[int]:
    return [max(2, int(height_px * share / 2) * 2) for share in _HEIGHT_STEPS]


def _ladder(first: Rung) -> list[Rung]:
    by_crf = [Rung(min(first.crf + step, _WORST_CRF), first.height_px) for step in _CRF_STEPS]
    by_height = [Rung(by_crf[-1].crf, height_px) for height_px in _heights(first.height_px)]
    return list(dict.fromkeys([first, *by_crf, *by_height]))


def _promise(now: Rung, then: Rung, size_bytes: int) -> float:
    halvings: float = (then.crf - now.crf) / _CRF_PER_HALF
    shrink = (then.height_px / now.height_px) ** 2
    return float(size_bytes * shrink / 2**halvings * _SAFETY)
