"""Prepared media that the system cannot read: a machine in trouble, not a changed file."""

from pathlib import Path

import anyio
import pytest

from captionfleet.errors import FailureCode
from captionfleet.messages import ReadyClip
from captionfleet.telemetry import Tally
from tests.support.command import until
from tests.support.ready import job, ready_clip
from tests.support.replica import scripted
from tests.support.sending import sent

pytestmark = pytest.mark.anyio

NO_DATA = Path("/proc/self/mem")  # reading its beginning is an input/output error


def _broken(clip: ReadyClip) -> bytes:
    """Let the clip's video fail to be read; what it held."""
    video = clip.video.read_bytes()
    clip.video.unlink()
    clip.video.symlink_to(NO_DATA)
    return video


async def test_media_that_cannot_be_read_are_tried_again_and_named(tmp_path: Path) -> None:
    """The clip fails after its attempts, by a code that no later run takes for final."""
    clip = ready_clip(tmp_path)
    _broken(clip)
    async with scripted() as replica:
        run = await sent(job(replica.base_url), [clip, ready_clip(tmp_path, "other")])
    failure = next(outcome for outcome in run.outcomes if outcome.clip.clip_id == "clip")
    assert failure.code is FailureCode.SOURCE_UNREADABLE
    assert failure.detail == "prepared media: Input/output error"
    assert not failure.code.permanent
    assert len(failure.attempts) == 3
    assert [seen.headers["x-request-id"] for seen in replica.seen] == ["other-1"]
    assert run.report[0]["ejections"] == 0


async def test_media_that_can_be_read_again_are_sent(tmp_path: Path) -> None:
    """A moment without a free descriptor, or without the disk, costs no clip."""
    clip, tally = ready_clip(tmp_path), Tally()
    video = _broken(clip)
    async with scripted() as replica, anyio.create_task_group() as tasks:

        async def heal() -> None:
            await until(lambda: tally.retries > 0)
            clip.video.unlink()
            clip.video.write_bytes(video)

        tasks.start_soon(heal)
        plan = job(replica.base_url, request={"max_attempts": 50})
        run = await sent(plan, [clip], tally=tally)
    assert replica.seen[-1].sha256("video_url") == run.caption.facts.video_sha256
