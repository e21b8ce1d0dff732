"""Computes whether it is cheaper to prepare all clips before the deployments start; pure (main)."""

from dataclasses import dataclass, replace

from captionfleet.plan.model.predict import Prediction, Pricing, mean_worker_s, predict
from captionfleet.plan.model.reference import Library, Reference

__all__ = ["Ahead", "prepared_ahead"]

_LEAST_SAVED = 0.05  # a smaller saving is within the variation between runs
_BASE64 = 4 / 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Ahead:
    """Preparing alone on the plan's cores, then the same replicas with all media ready.

    `saved_usd` is what the plan's replicas cost while they wait for clips.
    """

    prepare_s: float
    media_bytes: float
    sending: Prediction
    saved_usd: float


def prepared_ahead(
    reference: Reference, library: Library, chosen: Prediction, pricing: Pricing
) -> Ahead | None:
    """The cost of preparing first; None where it is unknown or saves almost nothing."""
    each_s = mean_worker_s(reference, library)
    if not each_s or chosen.outlook.bottleneck != "cores":
        return None
    sending = predict(replace(reference, worker_time=None), library, chosen.fleet, pricing)
    saved_usd = chosen.usd.expected - sending.usd.expected
    if saved_usd <= _LEAST_SAVED * chosen.usd.expected:
        return None
    return Ahead(
        prepare_s=each_s * library.clips / chosen.fleet.cores,
        media_bytes=chosen.payload_bytes / reference.per_clip / _BASE64,
        sending=sending,
        saved_usd=saved_usd,
    )
