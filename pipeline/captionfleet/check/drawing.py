"""Generates the test clips in a worker process (main process)."""

import random
from dataclasses import dataclass, replace
from pathlib import Path

import anyio

from captionfleet.check.canary import CanaryClip, canary_clips
from captionfleet.config import JobConfig
from captionfleet.errors import RunError
from captionfleet.media.orders import CanaryOrder, Prepared, hold_of
from captionfleet.messages import Clip, Form, ReadyClip, Source
from captionfleet.telemetry import monotonic_s
from captionfleet.workers.process import WorkerDied, WorkerProcess

__all__ = ["DrawnClip", "draw_canary"]

_DRAW_S = 120.0
_DRAW_CPU_S = 60


@dataclass(frozen=True, slots=True)
class DrawnClip:
    """A test clip with its media."""

    clip: CanaryClip
    ready: ReadyClip


async def draw_canary(job: JobConfig, folder: Path, seed: int | None = None) -> list[DrawnClip]:
    """Generate the test clips in `folder`, in a worker process.

    Raises:
        RunError: no worker process can be started, or generating fails.
    """
    dice = random.Random(seed)  # noqa: S311 - guessing gains nothing
    clips = canary_clips(job.media.max_seconds * job.media.fps, dice)
    async with WorkerProcess(confine=job.workers.confine) as worker:
        return [await _drawn(worker, clip, job, folder / clip.name) for clip in clips]


async def _drawn(worker: WorkerProcess, clip: CanaryClip, job: JobConfig, hold: Path) -> DrawnClip:
    """The clip in each form that the job's deployments take."""
    first, *others = [
        await _in_form(worker, clip, job, form, Path(hold_of(str(hold), place)))
        for place, form in enumerate(job.forms)
    ]
    return DrawnClip(clip, replace(first, others=tuple(others)))


async def _in_form(
    worker: WorkerProcess, clip: CanaryClip, job: JobConfig, form: Form, hold: Path
) -> ReadyClip:
    order = CanaryOrder(
        clip.shown, clip.frames, clip.sound, job.media.spec(form), str(hold),
        _DRAW_CPU_S, job.workers.memory_bytes,
    )  # fmt: skip
    try:
        with anyio.fail_after(_DRAW_S):
            report = await worker.work_on(order)
    except (TimeoutError, WorkerDied) as error:
        raise RunError(f"the canary's clips cannot be made: {error}") from None
    if not isinstance(report.result, Prepared):
        raise RunError(f"the canary's clips cannot be made: {report.result}")
    facts = report.result.facts
    audio = hold.with_suffix(form.audio_ending) if facts.has_audio else None
    name = f"canary-{clip.name}"
    whole = Clip(name, Source(str(hold), name, 0, 0), 0.0, facts.source_s)
    video = hold.with_suffix(form.video_ending)
    return ReadyClip(whole, video, audio, facts, report.prepare_s, monotonic_s(), form=form)
