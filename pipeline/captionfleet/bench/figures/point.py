"""Computes the results of one load: latency, rates, errors, client use; pure (main process)."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from captionfleet.bench.figures.samples import Sample
from captionfleet.bench.figures.steady import (
    Window,
    ended_per_s,
    half_width,
    is_queue_growing,
    rate_per_s,
)
from captionfleet.measures import Percentiles

__all__ = ["ClientUse", "Goal", "Point", "measure"]

_MOST_REPLICAS = 64
_MOST_CORES = 0.9  # of one: the event loop runs on a single core
_MOST_LAG_S = 0.1
_MOST_LAG_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class Goal:
    """The SLO that a caption must meet to count as good; None sets no goal."""

    request_s: float | None = None
    ttft_s: float | None = None

    def is_met(self, one: Sample) -> bool:
        """Whether a caption met the goal; one without a known TTFT fails a TTFT goal."""
        in_time = self.request_s is None or one.request_s <= self.request_s
        ttft_s = math.inf if one.ttft_s is None else one.ttft_s
        return in_time and (self.ttft_s is None or ttft_s <= self.ttft_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientUse:
    """Resources of the measuring client: cores used, and how late its event loop woke up.

    `is_limit` means that the results may be limited by the client instead of the deployment.
    """

    cores: float
    loop_lag_p50_s: float
    loop_lag_p99_s: float

    def is_limit(self, request_s: float) -> bool:
        """Whether a core was full, or the loop woke late for requests of this duration."""
        lag_s = self.loop_lag_p99_s
        is_late = lag_s > _MOST_LAG_S or lag_s > _MOST_LAG_SHARE * request_s
        return self.cores > _MOST_CORES or is_late


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """The results of one load, without its warm-up.

    Attributes:
        in_flight: Requests kept in flight; None where `arrivals_per_s` was given instead.
        requests: Requests that ended within the steady seconds, errors included.
        unsent: Arrivals that were not sent in the whole load, at the limit of requests in flight.
        is_overloaded: Whether more arrived than were answered; the latencies are then those of a
            growing queue, and depend on how long it grew.
        clips_per_s: Captions per second: each of several requests per clip counts.
        clips_per_s_error: Half of the 95 % interval around `clips_per_s`.
        goodput_per_s: Captions per second that met the goal.
        source_hours_per_hour: Hours of video captioned in one hour.
        upload_share: Part of the request time until the last byte of the body was sent.
        cached_share: Part of the prompt tokens that the server had cached.
    """

    in_flight: int | None
    arrivals_per_s: float | None
    seconds: float
    warm_up_s: float
    is_steady: bool
    is_overloaded: bool
    unsent: int
    requests: int
    captions: int
    errors: int
    errors_by_code: Mapping[str, int]
    mean_in_flight: float
    clips_per_s: float
    clips_per_s_error: float
    goodput_per_s: float
    source_hours_per_hour: float
    prompt_tokens_per_s: float
    completion_tokens_per_s: float
    prompt_tokens: float
    completion_tokens: float
    cached_share: float
    clip_s: float
    payload_bytes: float
    request_s: Percentiles | None
    ttft_s: Percentiles | None
    upload_s: Percentiles | None
    upload_share: float | None
    client: ClientUse
    client_cpu_s_per_request: float
    is_client_limit: bool
    replicas: Mapping[str, float] = field(default_factory=dict)

    @property
    def error_share(self) -> float:
        """Errors among the requests."""
        return self.errors / max(self.requests, 1)


def measure(  # noqa: PLR0913 - the load and its circumstances, by keyword
    samples: Sequence[Sample],
    window: Window,
    client: ClientUse,
    *,
    begun_s: float,
    in_flight: int | None = None,
    arrivals_per_s: float | None = None,
    goal: Goal | None = None,
    unsent: int = 0,
    per_clip: int = 1,
) -> Point:
    """Compute the results of one load; `begun_s` is the start of its first request.

    `per_clip` is how many captions a clip gets.
    """
    is_arriving = arrivals_per_s is not None
    rate = ended_per_s if is_arriving else rate_per_s
    from_s, to_s = window.from_s, window.to_s
    ended = [one for one in samples if from_s <= one.ended_s <= to_s]
    good = [one for one in ended if one.code is None]
    under_way = [one for one in samples if one.share_within(from_s, to_s) > 0]
    captioned = [one for one in under_way if one.code is None]
    met = [one for one in captioned if (goal or Goal()).is_met(one)]
    errors = Counter(one.code.value for one in ended if one.code is not None)
    clips_per_s = rate(captioned, from_s, to_s)
    seconds = max(window.seconds, 1e-9)
    request_s = Percentiles.of(one.request_s for one in good)
    return Point(
        in_flight=in_flight,
        arrivals_per_s=arrivals_per_s,
        seconds=window.seconds,
        warm_up_s=from_s - begun_s,
        is_steady=window.is_steady,
        is_overloaded=is_arriving and (unsent > 0 or is_queue_growing(samples, window)),
        unsent=unsent,
        requests=len(ended),
        captions=len(good),
        errors=errors.total(),
        errors_by_code=dict(errors.most_common()),
        mean_in_flight=sum(one.share_within(from_s, to_s) * one.request_s for one in under_way)
        / seconds,
        clips_per_s=clips_per_s,
        clips_per_s_error=max(
            half_width(partial(rate, captioned), from_s, to_s),
            0.0 if is_arriving else _renewal_error(clips_per_s, request_s, len(good)),
        ),
        goodput_per_s=rate(met, from_s, to_s),
        **_of_clips(good, clips_per_s, per_clip),
        request_s=request_s,
        ttft_s=Percentiles.of(one.ttft_s for one in good if one.ttft_s is not None),
        upload_s=Percentiles.of(one.upload_s for one in good if one.upload_s is not None),
        upload_share=_upload_share(good),
        client=client,
        client_cpu_s_per_request=client.cores * seconds / max(len(ended), 1),
        is_client_limit=client.is_limit(request_s.p50 if request_s else math.inf),
        replicas=_by_replica(captioned, partial(rate, from_s=from_s, to_s=to_s)),
    )


def _of_clips(good: Sequence[Sample], clips_per_s: float, per_clip: int) -> dict[str, float]:
    """The mean clip's figures, and the rates that follow."""
    means = _Means(good)
    return {
        "source_hours_per_hour": clips_per_s / per_clip * means.of("clip_s"),
        "prompt_tokens_per_s": clips_per_s * means.of("prompt_tokens"),
        "completion_tokens_per_s": clips_per_s * means.of("completion_tokens"),
        "prompt_tokens": means.of("prompt_tokens"),
        "completion_tokens": means.of("completion_tokens"),
        "cached_share": means.of("cached_tokens") / max(means.of("prompt_tokens"), 1e-9),
        "clip_s": means.of("clip_s"),
        "payload_bytes": means.of("payload_bytes"),
    }


def _renewal_error(clips_per_s: float, request_s: Percentiles | None, captions: int) -> float:
    """Half of the 95 % interval of the rate of lanes that ask again at once (renewal theory)."""
    if request_s is None or not request_s.mean:
        return 0.0
    return 1.96 * clips_per_s * request_s.std / request_s.mean / math.sqrt(captions)


class _Means:
    def __init__(self, samples: Sequence[Sample]) -> None:
        self._samples = samples

    def of(self, name: str) -> float:
        return math.fsum(getattr(one, name) for one in self._samples) / max(len(self._samples), 1)


def _upload_share(samples: Sequence[Sample]) -> float | None:
    known = [(one.upload_s, one.request_s) for one in samples if one.upload_s is not None]
    total_s = math.fsum(request_s for _, request_s in known)
    return math.fsum(upload_s for upload_s, _ in known) / total_s if total_s else None


def _by_replica(
    samples: Sequence[Sample], rate: Callable[[Sequence[Sample]], float]
) -> dict[str, float]:
    """Captions per second of each replica that names itself; the server chooses the names."""
    found: dict[str, list[Sample]] = {}
    for one in samples:
        if one.replica is not None and (one.replica in found or len(found) < _MOST_REPLICAS):
            found.setdefault(one.replica, []).append(one)
    return {name: rate(own) for name, own in sorted(found.items())}
