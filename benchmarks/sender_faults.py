"""Three replicas, 30 % of the answers bad in every way there is, and one killed and restarted."""

import time
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure, at_least, at_most
from benchmarks.sender_load import Load, Seen, seen_by, start
from benchmarks.standins import StandinProcess, flags, standins

SLOTS = 12
SERVICE_S = 0.5
CLEAN_S = 20.0  # before the first fault
KILLED_S, RESTARTED_S = 30.0, 36.0
SECONDS = 110.0
RECOVERY_S = 10.0  # after which the throughput has to be back, and to stay
SPAN_S = 5.0  # of the rates that are kept
CLEAN = round(CLEAN_S * SLOTS / SERVICE_S)
FAULTY = 600  # requests of a replica that are in for faults; of the restarted one, fewer
FAULTY_AGAIN = 200
KINDS = (
    "429 500 502-html scaling-up reset-before reset-during hang+seconds=2 truncate garbage empty "
    "stream-error slow+seconds=2"
).split()
RATE = 0.30 / len(KINDS)


def faults(folder: Path) -> tuple[list[Figure], dict[str, Any]]:
    """Nothing may be lost or doubled, and the throughput has to come back."""
    replicas = [_replica(seed, after=CLEAN, first=FAULTY) for seed in range(3)]
    with standins(*replicas) as fleet:
        load = Load(
            client="sender",
            base_urls=tuple(one.base_url for one in fleet),
            folder=str(folder),
            in_flight=(64,) * 3,
            adaptive=True,
            seconds=SECONDS,
            media_bytes=20_000,
        )
        begun_s = time.monotonic()
        client = start(load)
        restarted_s = _kill_and_restart(fleet[0], begun_s)
        seen = seen_by(client, load)
    return _figures(seen, restarted_s)


def _replica(seed: int, *, after: int, first: int) -> list[str]:
    fault = [_fault(kind, after, first) for kind in KINDS]
    return flags(slots=SLOTS, max_queue=200, service_time_s=SERVICE_S, seed=seed, fault=fault)


def _fault(kind: str, after: int, first: int) -> str:
    return f"{kind}+after={after}+first={first}:{RATE:.6f}"


def _kill_and_restart(replica: StandinProcess, begun_s: float) -> float:
    """Do both at their times; return when the replica was back, from the client's start."""
    time.sleep(max(begun_s + KILLED_S - time.monotonic(), 0))
    replica.kill()
    time.sleep(max(begun_s + RESTARTED_S - time.monotonic(), 0))
    replica.flags = _replica(7, after=0, first=FAULTY_AGAIN)
    replica.start()
    return time.monotonic() - begun_s


def _figures(seen: Seen, restarted_s: float) -> tuple[list[Figure], dict[str, Any]]:
    captions = len(seen.captions_s)
    before = seen.captions_per_s(CLEAN_S / 2, CLEAN_S)
    last_s = max([restarted_s, *seen.faults_s])
    figures = [
        at_least("clips captioned, of all", seen.captioned_clips / seen.clips, 1.0),
        at_most("captions of one clip", captions / seen.captioned_clips, 1.0),
        at_most("captions of other media than the line names", seen.wrong_media, 0),
        _recovery(seen, last_s, before),
    ]
    return figures, {
        "clips": seen.clips,
        "bad_answers": len(seen.faults_s),
        "errors": [deployment["errors"] for deployment in seen.fleet],
        "captions_per_s_before": before,
        "last_fault_s": last_s,
        "captions_per_s": [
            round(seen.captions_per_s(t, t + SPAN_S), 1)
            for t in range(0, int(SECONDS), int(SPAN_S))
        ],
        "windows": [deployment["window"] for deployment in seen.fleet],
    }


def _recovery(seen: Seen, last_s: float, before: float) -> Figure:
    latest_s = SECONDS - RECOVERY_S - SPAN_S
    if last_s > latest_s:  # on a machine too busy to get through the faults in time
        return at_most("second of the last fault, too late to see a recovery", last_s, latest_s)
    after = seen.captions_per_s(last_s + RECOVERY_S, SECONDS)
    return at_least("throughput 10 s after the last fault, of that before", after / before, 0.9)
