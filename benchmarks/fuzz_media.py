"""Throws damaged and forged media at the worker pool: every file has to end as a line.

    python benchmarks/fuzz_media.py --files 10000 --seed 1

File N of a seed is always the same; `--keep DIR` keeps those that ended as they must not, and
`--only N` runs one again.
"""

import argparse
import json
import resource
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
from anyio import create_memory_object_stream, to_thread
from structlog.testing import capture_logs

sys.path.insert(0, str(Path(__file__).parents[1]))

from captionfleet.config import JobConfig
from captionfleet.errors import FailureCode
from captionfleet.messages import Clip, Failure, ReadyClip, Source
from captionfleet.telemetry import Tally, monotonic_s
from captionfleet.workers.pool import work
from captionfleet.workers.workspace import Workspace, open_workspace
from tests.support.mutations import mutate, seeded
from tests.support.odd_media import ODD

SEEDS = """
    fps_25 fragmented edit_list rotated_90 anamorphic interlaced_h264 vfr two_audio_tracks
    audio_5_1 audio_8_khz audio_starts_late b_pyramid h264_444 h264_elementary_stream
    hevc hevc_10_bit hdr_pq vp8 vp9 vp9_alt_ref av1 mpeg2 mpeg2_program_stream interlaced_mpeg2
    avi_no_pts h264_avi_no_pts mpeg4_b_frames mjpeg prores wmv flash h263_3gp gif opus_preskip
    vfr_matroska audio_empty_track_fragmented cover_art resolution_change
""".split()
# Each says that this program, not the file, is at fault.
BAD = {FailureCode.UNEXPECTED, FailureCode.WORKER_CRASHED, FailureCode.PREPARE_TIMEOUT}
SLOWEST = 5
TELL_EVERY = 500
MEMORY_BYTES = 2**31
STORE_BYTES = 100_000_000


@dataclass(slots=True)
class Findings:
    """What became of the files."""

    results: Counter[str] = field(default_factory=Counter)
    bad: list[dict[str, Any]] = field(default_factory=list)
    slowest: list[tuple[float, str]] = field(default_factory=list)
    worker_deaths: int = 0
    seconds: float = 0.0

    def add(self, result: ReadyClip | Failure, seconds: float) -> None:
        """Count one file."""
        name = result.clip.clip_id
        code = result.code.value if isinstance(result, Failure) else "prepared"
        self.results[code] += 1
        self.slowest = sorted([*self.slowest, (seconds, name)], reverse=True)[:SLOWEST]
        if isinstance(result, Failure) and result.code in BAD:
            self.bad.append({"file": name, "code": code, "detail": result.detail})

    def is_clean(self, files: int) -> bool:
        """Whether every file ended, and as it should."""
        return sum(self.results.values()) == files and not self.bad

    def report(self, files: int, workers: int) -> dict[str, Any]:
        """What is printed."""
        peak_bytes = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
        return {
            "files": files,
            "ended": sum(self.results.values()),
            "workers": workers,
            "seconds": round(self.seconds, 1),
            "results": dict(self.results.most_common()),
            "worker_deaths": self.worker_deaths,
            "children_peak_rss_mb": round(peak_bytes / 2**20),
            "slowest_s": {name: round(seconds, 2) for seconds, name in self.slowest},
            "bad": self.bad,
        }


class Damaged:
    """The damaged files of one seed; `folder` holds those that are being tried."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._folder = folder
        self._seed = seed
        whole = folder / "whole"
        whole.mkdir()
        self._whole = {name: ODD[name](whole).read_bytes() for name in SEEDS}

    def write(self, number: int) -> Clip:
        """Make file `number`."""
        rng = seeded(self._seed, number)
        name = rng.choice(SEEDS)
        path = self._folder / f"{number}-{name}.mp4"
        path.write_bytes(mutate(self._whole[name], list(self._whole.values()), rng))
        facts = path.stat()
        source = Source(str(path), path.name, facts.st_size, facts.st_mtime_ns)
        return Clip(path.name, source, 0.0, 60.0)


@dataclass(frozen=True, slots=True)
class Round:
    """What all lanes share."""

    damaged: Damaged
    numbers: Iterator[int]
    job: JobConfig
    media: Workspace
    findings: Findings
    keep: Path | None

    async def run_lane(self) -> None:
        """One file after the other through a pool of one worker, timed from outside."""
        clips_out, clips_in = create_memory_object_stream[Clip]()
        results_out, results_in = create_memory_object_stream[Any]()
        async with clips_out, results_in, anyio.create_task_group() as tasks:
            outs = results_out, results_out.clone()
            tasks.start_soon(work, self.job, self.media, Tally(), clips_in, *outs)
            for number in self.numbers:
                clip = await to_thread.run_sync(self.damaged.write, number)
                started_s = monotonic_s()
                await clips_out.send(clip)
                result = await results_in.receive()
                self.findings.add(result, monotonic_s() - started_s)
                self.media.release(clip.clip_id)
                await to_thread.run_sync(self._put_away, result)
            clips_out.close()

    def _put_away(self, result: ReadyClip | Failure) -> None:
        path = Path(result.clip.source.path)
        if self.keep and isinstance(result, Failure) and result.code in BAD:
            path.rename(self.keep / path.name)
        else:
            path.unlink()


async def fuzz(
    damaged: Damaged, numbers: Sequence[int], job: JobConfig, keep: Path | None = None
) -> Findings:
    """Run the files through as many lanes as the job has workers."""
    findings = Findings()
    job_of_one = job.model_copy(update={"workers": job.workers.model_copy(update={"processes": 1})})
    started_s = monotonic_s()
    with capture_logs() as logs:
        async with open_workspace(job.store) as media, anyio.create_task_group() as lanes:
            shared = Round(damaged, _told(numbers), job_of_one, media, findings, keep)
            for _ in range(job.workers.processes):
                lanes.start_soon(shared.run_lane)
    findings.seconds = monotonic_s() - started_s
    findings.worker_deaths = sum(entry["event"] == "worker process died" for entry in logs)
    return findings


def _told(numbers: Sequence[int]) -> Iterator[int]:
    for done, number in enumerate(numbers):
        if done and not done % TELL_EVERY:
            print(f"{done} of {len(numbers)} files", file=sys.stderr, flush=True)
        yield number


def main() -> int:
    """Run; 0 if every file ended as it should."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--timeout", type=float, default=60, help="seconds for one file")
    parser.add_argument("--only", type=int, help="run file N alone")
    parser.add_argument("--keep", type=Path, help="where files go that ended as they must not")
    given = parser.parse_args()
    if given.keep:
        given.keep.mkdir(parents=True, exist_ok=True)
    numbers = range(given.files) if given.only is None else [given.only]
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        job = fuzz_job(Path(folder), workers=given.workers, timeout_s=given.timeout)
        damaged = Damaged(Path(folder), given.seed)
        findings = anyio.run(fuzz, damaged, numbers, job, given.keep)
    report = {"seed": given.seed} | findings.report(len(numbers), given.workers)
    print(json.dumps(report, indent=2))
    return 0 if findings.is_clean(len(numbers)) else 1


def fuzz_job(folder: Path, *, workers: int, timeout_s: float) -> JobConfig:
    """Settings under which a file that runs away is seen soon."""
    limits = {"processes": workers, "clip_timeout_s": timeout_s, "memory_bytes": MEMORY_BYTES}
    store = {"dir": folder / "store", "max_bytes": STORE_BYTES}
    return JobConfig.model_validate({"workers": limits, "store": store})


if __name__ == "__main__":
    raise SystemExit(main())
