"""What to give up so that a clip's video fits into a request; pure (worker process)."""

from dataclasses import dataclass
from fractions import Fraction

__all__ = ["Rung", "next_rung", "payload_bytes", "video_budget_bytes"]

_CRF_STEPS = (4, 8, 12)
_HEIGHT_STEPS = (Fraction(4, 5), Fraction(2, 3), Fraction(1, 2))
_WORST_CRF = 51
# x264 halves the rate of common films every six steps of CRF, but what is too large is mostly
# noise, which takes about twice as many. Noise shrinks at least with its area.
_CRF_PER_HALF = 12.0
_SAFETY = 1.02


@dataclass(frozen=True, slots=True)
class Rung:
    """Settings of one encoding."""

    crf: int
    height_px: int


def payload_bytes(video_bytes: int, audio_bytes: int) -> int:
    """What both parts take in a request, as base64."""
    return sum(4 * -(-size // 3) for size in (video_bytes, audio_bytes))


def video_budget_bytes(max_payload_bytes: int, audio_bytes: int) -> int:
    """How large the video may be for base64 of both parts to stay below the limit."""
    room = max_payload_bytes - 4 * -(-audio_bytes // 3)
    return max(0, (room - 1) // 4 * 3)


def next_rung(first: Rung, now: Rung, size_bytes: int, budget_bytes: int) -> Rung | None:
    """The next settings to try, None if there is nothing left to give up.

    The first rung below `now` that promises to fit: CRF goes up before height goes down. The size
    seen corrects the promise each time, so one or two encodings do.

    Args:
        first: the settings that were asked for.
        now: the settings just tried.
        size_bytes: what they gave.
        budget_bytes: what may be had.
    """
    rungs = _ladder(first)
    below = rungs[rungs.index(now) + 1 :]
    if not below or budget_bytes <= 0:
        return None
    return next((r for r in below if _promise(now, r, size_bytes) < budget_bytes), below[-1])


def _ladder(first: Rung) -> list[Rung]:
    by_crf = [Rung(min(first.crf + step, _WORST_CRF), first.height_px) for step in _CRF_STEPS]
    by_height = [
        Rung(by_crf[-1].crf, max(2, int(first.height_px * share / 2) * 2))
        for share in _HEIGHT_STEPS
    ]
    return list(dict.fromkeys([first, *by_crf, *by_height]))


def _promise(now: Rung, then: Rung, size_bytes: int) -> float:
    halvings: float = (then.crf - now.crf) / _CRF_PER_HALF
    shrink = (then.height_px / now.height_px) ** 2
    return float(size_bytes * shrink / 2**halvings * _SAFETY)
