"""Prepared media that the system cannot read: a machine in trouble, not a changed file."""

import errno
import os
from pathlib import Path

import anyio
import pytest

from captionfleet.errors import FailureCode
from captionfleet.sender import upload
from captionfleet.telemetry import Tally
from tests.support.command import until
from tests.support.ready import job, ready_clip
from tests.support.replica import scripted
from tests.support.sending import sent

pytestmark = pytest.mark.anyio

Broken = set[Path]


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Broken:
    """Files that cannot be opened, as on a disk that fails or where descriptors ran out."""
    paths: Broken = set()
    whole = upload.open_regular

    def opened(path: Path) -> int:
        if path in paths:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return whole(path)

    monkeypatch.setattr(upload, "open_regular", opened)
    return paths


async def test_media_that_cannot_be_read_are_tried_again_and_named(
    tmp_path: Path, broken: Broken
) -> None:
    """The clip fails after its attempts, by a code that no later run takes for final."""
    clip = ready_clip(tmp_path)
    broken.add(clip.video)
    async with scripted() as replica:
        run = await sent(job(replica.base_url), [clip, ready_clip(tmp_path, "other")])
    failure = next(outcome for outcome in run.outcomes if outcome.clip.clip_id == "clip")
    assert failure.code is FailureCode.SOURCE_UNREADABLE
    assert failure.detail == "prepared media: Input/output error"
    assert not failure.code.permanent
    assert len(failure.attempts) == 3
    assert [seen.headers["x-request-id"] for seen in replica.seen] == ["other-1"]
    assert run.report[0]["ejections"] == 0


async def test_media_that_can_be_read_again_are_sent(tmp_path: Path, broken: Broken) -> None:
    """A moment without a free descriptor, or without the disk, costs no clip."""
    clip, tally = ready_clip(tmp_path), Tally()
    broken.add(clip.video)
    async with scripted() as replica, anyio.create_task_group() as tasks:

        async def heal() -> None:
            await until(lambda: tally.retries > 0)
            broken.clear()

        tasks.start_soon(heal)
        plan = job(replica.base_url, request={"max_attempts": 50})
        run = await sent(plan, [clip], tally=tally)
    assert replica.seen[-1].sha256("video_url") == run.caption.facts.video_sha256


@pytest.mark.parametrize("planted", ["a FIFO", "a link", "a folder"])
async def test_what_is_planted_in_the_store_is_neither_waited_for_nor_sent(
    planted: str, tmp_path: Path
) -> None:
    """Whatever takes the place of prepared media, the clip fails and no other file is sent."""
    clip, secret = ready_clip(tmp_path), tmp_path / "id_rsa"
    clip.video.rename(secret)  # of the size and the time that a hostile worker reports
    match planted:
        case "a FIFO":
            os.mkfifo(clip.video)
        case "a link":
            clip.video.symlink_to(secret)
        case _:
            clip.video.mkdir()
    async with scripted() as replica:
        with anyio.fail_after(60):
            run = await sent(job(replica.base_url), [clip])
    assert run.outcomes[0].code is FailureCode.SOURCE_CHANGED
    assert replica.seen == []
