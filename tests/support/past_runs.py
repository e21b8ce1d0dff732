"""Output folders of runs that never were: queues and slots whose truth the test knows."""

import heapq
import json
import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

BEGAN = datetime(2026, 11, 20, 6, 0, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class PastRun:
    """Deployments with `slots` and a queue, of which so many requests were always in flight.

    `ceiling` is what the job allowed.
    """

    clips: int = 400
    deployments: int = 2
    in_flight: int = 8
    ceiling: int = 8
    slots: int = 4
    service_s: float = 2.0
    jitter: float = 0.2
    processes: int = 2
    prepare_s: float = 0.5
    seed: int = 1

    def write(self, folder: Path) -> Path:
        """Write captions.jsonl and run.json; return the folder."""
        folder.mkdir(parents=True, exist_ok=True)
        requests = sorted(self._requests(), key=lambda one: one[1])
        lines = [self._line(number, *one) for number, one in enumerate(requests)]
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (folder / "captions.jsonl").write_text(text)
        (folder / "run.json").write_text(json.dumps(self._record(requests[-1][1])))
        return folder

    @property
    def rate(self) -> float:
        """Captions per second of one deployment that is full."""
        return min(self.slots, self.in_flight) / self.service_s

    def _requests(self) -> list[tuple[float, float, int]]:
        """Starts and ends of all requests, and where they went."""
        dice, requests = random.Random(self.seed), []  # noqa: S311 - repeatable
        for deployment in range(self.deployments):
            free_s = [0.0] * self.slots  # when each slot is free
            ends_s = [0.0] * self.in_flight  # when each place in flight is
            for _ in range(self.clips // self.deployments):
                started_s = heapq.heappop(ends_s)
                served_s = max(started_s, heapq.heappop(free_s))
                vary = 1 + self.jitter * dice.uniform(-1, 1)
                ended_s = served_s + self.service_s * vary
                heapq.heappush(free_s, ended_s)
                heapq.heappush(ends_s, ended_s)
                requests.append((started_s, ended_s, deployment))
        return requests

    def _line(self, number: int, started_s: float, ended_s: float, to: int) -> dict[str, Any]:
        seconds = (4.0, 10.0)[number % 2]
        return {
            "clip_id": f"{number:032x}",
            "source": f"{number}.mp4",
            "start_s": 0.0,
            "end_s": 60.0,
            "caption": "a beach",
            "finish_reason": "stop",
            "model": "omni",
            "deployment": f"d{to + 1}",
            "attempts": 1,
            "usage": {"prompt_tokens": 100 * seconds, "completion_tokens": 50, "total_tokens": 0},
            "latency": {
                "prepare_s": self.prepare_s * seconds / 7,
                "queue_s": 0.0,
                "request_s": ended_s - started_s,
                "ttft_s": None,
                "total_s": ended_s - started_s,
            },
            "media": {
                "source_codec": "h264",
                "source_width": 1280,
                "source_height": 720,
                "source_s": seconds,
                "payload_bytes": 1000,
            },
            "completed_at_utc": stamp(ended_s),
        }

    def _record(self, seconds: float) -> dict[str, Any]:
        prepare_s = self.clips * self.prepare_s
        settings = {
            "workers": {"processes": self.processes},
            "request": {"timeout_s": 300},
            "media": {"max_seconds": 60},
            "deployments": [
                {"name": f"d{n + 1}", "max_in_flight": self.ceiling, "adaptive": False}
                for n in range(self.deployments)
            ],
        }
        return {
            "started_at_utc": stamp(0.0),
            "ended_at_utc": stamp(seconds),
            "captioned": self.clips,
            "failed": 0,
            "attempts": self.clips,
            "time_share": {"workers_busy_s": prepare_s, "prepare_s": prepare_s},
            "bottleneck": {"limit": "deployments", "cores": 0.5, "deployments": 1.0},
            "settings": settings,
        }


def stamp(seconds: float) -> str:
    """A time after the start of the run, as the lines have it."""
    time = BEGAN + timedelta(seconds=seconds)
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
