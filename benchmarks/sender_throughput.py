"""Ample slots: throughput and CPU of the sender against bare aiohttp, and its memory."""

from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.figures import Figure, at_least, at_most
from benchmarks.sender_load import Load, Seen, measure
from benchmarks.standins import flags, standins

IN_FLIGHT = 256
SERVICE_S = 8.0  # 32 requests a second: far from what two cores can move
TURNS = 2  # service times that are measured, after one of warming up
ROUNDS = 5
MEMORY_IN_FLIGHT = 512


def throughput(folder: Path) -> tuple[list[Figure], dict[str, Any]]:
    """256 in flight, 1 MB of media each, fixed latency; rounds of both clients take turns."""
    seen: dict[str, list[Seen]] = {"sender": [], "bare": []}
    with standins(flags(slots=IN_FLIGHT, max_queue=IN_FLIGHT, service_time_s=SERVICE_S)) as fleet:
        for _ in range(ROUNDS):
            for client, rounds in seen.items():
                rounds.append(measure(_load(client, folder, fleet[0].base_url, IN_FLIGHT)))
    ours, bare = seen["sender"], seen["bare"]
    little = IN_FLIGHT / SERVICE_S
    bound = min(little, median(map(_rate, bare)))
    cpu_ratios = [_cpu_ms(one) / _cpu_ms(other) for one, other in zip(ours, bare, strict=True)]
    figures = [
        at_least("throughput, of the lower of both bounds", median(map(_rate, ours)) / bound, 0.95),
        at_most("CPU per request, of bare aiohttp's", median(cpu_ratios), 1.3),
    ]
    return figures, {
        "little_per_s": little,
        "requests_per_s": {name: [_rate(one) for one in seen[name]] for name in seen},
        "cpu_ms_per_request": {name: [_cpu_ms(one) for one in seen[name]] for name in seen},
        "max_rss_mb": {name: [one.max_rss_bytes / 1e6 for one in seen[name]] for name in seen},
        "wrong_media": sum(one.wrong_media for one in ours),
    }


def memory(folder: Path) -> tuple[list[Figure], dict[str, Any]]:
    """512 in flight, 1 MB of media each; the stand-in reads 32 bodies at a time, others wait."""
    slots = MEMORY_IN_FLIGHT
    with standins(flags(slots=slots, max_queue=slots, service_time_s=SERVICE_S)) as fleet:
        seen = measure(_load("sender", folder, fleet[0].base_url, slots))
    figures = [
        at_least("requests in flight", seen.max_in_flight, slots),
        at_most("peak RSS, MB", seen.max_rss_bytes / 1e6, 300),
    ]
    return figures, {"captions": len(seen.captions_s), "failures": seen.failures}


def _load(client: str, folder: Path, url: str, in_flight: int) -> Load:
    return Load(
        client=client,
        base_urls=(url,),
        folder=str(folder),
        in_flight=(in_flight,),
        seconds=(1 + TURNS) * SERVICE_S,
    )


def _rate(seen: Seen) -> float:
    return round(seen.captions_per_s(SERVICE_S, (1 + TURNS) * SERVICE_S), 2)


def _cpu_ms(seen: Seen) -> float:
    return round(1000 * seen.cpu_s / max(len(seen.captions_s), 1), 3)
