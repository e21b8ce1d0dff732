"""The whole first stage."""

import math
import os
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest
from blockbuster import blockbuster_ctx

import captionfleet
from captionfleet.config import JobConfig
from captionfleet.errors import ConfigError, FailureCode
from captionfleet.ledger.settled import Settled, load_settled
from captionfleet.messages import Clip, Failure, Outcome
from captionfleet.producer import produce
from captionfleet.producer.walking import walk
from captionfleet.telemetry import Tally, monotonic_s

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def nothing_blocks_the_loop() -> Iterator[None]:
    with blockbuster_ctx(captionfleet):
        yield


async def produced(
    job: JobConfig, settled: Settled | None = None
) -> tuple[list[Clip], list[Outcome], Tally]:
    """Run the stage to its end, reading both streams as it goes."""
    clips: list[Clip] = []
    outcomes: list[Outcome] = []
    tally = Tally()
    clips_out, clips_in = anyio.create_memory_object_stream[Clip](1)
    outcomes_out, outcomes_in = anyio.create_memory_object_stream[Outcome](math.inf)
    async with clips_in, outcomes_in:
        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(produce, job, settled or Settled(), tally, clips_out, outcomes_out)
                clips += [clip async for clip in clips_in]
                outcomes += [outcome async for outcome in outcomes_in]
    return clips, outcomes, tally


def job_over(*sources: Path, **input_: object) -> JobConfig:
    """A job with these sources."""
    return JobConfig.model_validate({"input": {"sources": sources, "settle_s": 0, **input_}})


@pytest.fixture
def library(tmp_path: Path) -> Path:
    folder = tmp_path / "videos"
    folder.mkdir()
    for number in range(700):
        (folder / f"{number:03}.mp4").write_bytes(b"x" * (number + 1))
    (folder / "notes.txt").write_bytes(b"x")
    return folder


async def test_every_file_becomes_a_clip(library: Path) -> None:
    """All files become clips in order, both streams end, and the total is known."""
    clips, outcomes, tally = await produced(job_over(library))

    assert [clip.source.name for clip in clips] == [f"{number:03}.mp4" for number in range(700)]
    assert len({clip.clip_id for clip in clips}) == 700
    assert outcomes == []
    assert (tally.planned, tally.planned_total, tally.passed_over) == (700, 700, {"not_video": 1})


async def test_a_file_that_cannot_be_had_is_a_failure(tmp_path: Path) -> None:
    """A missing listed file and an empty named one become failures of this stage."""
    (tmp_path / "all.txt").write_text("gone.mp4\nempty.mp4\n")
    (tmp_path / "empty.mp4").touch()

    clips, outcomes, tally = await produced(job_over(tmp_path / "all.txt"))

    failures = [outcome for outcome in outcomes if isinstance(outcome, Failure)]
    assert [(failure.clip.source.name, failure.stage, failure.code) for failure in failures] == [
        ("gone.mp4", "producer", "source_missing"),
        ("empty.mp4", "producer", "empty_file"),
    ]
    assert (clips, tally.planned, tally.planned_total) == ([], 2, 2)


async def test_settled_clips_are_left_alone(library: Path, tmp_path: Path) -> None:
    """Captioned clips and standing failures are counted and not sent; the failures are met."""
    (everything, _, _) = await produced(job_over(library))
    captioned, broken = everything[0].clip_id, everything[1].clip_id
    (tmp_path / "captions.jsonl").write_text(f'{{"clip_id":"{captioned}","caption":"x"}}\n')
    (tmp_path / "failures.jsonl").write_text(f'{{"clip_id":"{broken}","code":"undecodable"}}\n')
    settled = await load_settled(tmp_path)

    clips, _, tally = await produced(job_over(library), settled)

    assert clips == everything[2:]
    assert (tally.already_captioned, tally.standing_failures, tally.planned) == (1, 1, 698)
    assert settled.keeps_failure(broken, is_complete=True)


async def test_a_changed_file_is_tried_again(library: Path, tmp_path: Path) -> None:
    """A standing failure ends when the file changes."""
    (everything, _, _) = await produced(job_over(library))
    broken = everything[0].clip_id
    (tmp_path / "failures.jsonl").write_text(f'{{"clip_id":"{broken}","code":"undecodable"}}\n')
    settled = await load_settled(tmp_path)
    assert settled.standing(broken) == FailureCode.UNDECODABLE
    (library / "000.mp4").write_bytes(b"mended")

    clips, _, tally = await produced(job_over(library), settled)

    assert (len(clips), tally.standing_failures) == (700, 0)


async def test_the_limit_counts_clips_that_need_a_caption(library: Path, tmp_path: Path) -> None:
    """A limit stops after so many clips that are not settled; the total stays unknown."""
    (everything, _, _) = await produced(job_over(library))
    (tmp_path / "captions.jsonl").write_text(
        f'{{"clip_id":"{everything[0].clip_id}","caption":"x"}}\n'
    )

    clips, _, tally = await produced(job_over(library, limit=3), await load_settled(tmp_path))

    assert clips == everything[1:4]
    assert (tally.planned, tally.planned_total, tally.already_captioned) == (3, None, 1)


async def test_a_missing_source_ends_the_run_before_anything_is_sent(library: Path) -> None:
    """A source that is not there is an error, also where another is."""
    with pytest.raises(ExceptionGroup) as caught:
        await produced(job_over(library, library / "gone"))

    assert caught.group_contains(ConfigError, match="gone")


async def test_a_clip_that_is_never_taken_counts_as_planned(library: Path) -> None:
    """Cancelled while it waits for the workers, the stage leaves no clip uncounted."""
    tally = Tally()
    clips_out, clips_in = anyio.create_memory_object_stream[Clip](0)
    outcomes_out, outcomes_in = anyio.create_memory_object_stream[Outcome](0)
    async with clips_in, outcomes_in, anyio.create_task_group() as tasks:
        tasks.start_soon(produce, job_over(library), Settled(), tally, clips_out, outcomes_out)
        with anyio.fail_after(60):
            await clips_in.receive()
            await clips_in.receive()
            await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()

    assert (tally.planned, tally.planned_total) == (3, None)
    assert clips_in.statistics().open_send_streams == 0


async def test_what_was_just_written_is_looked_at_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fresh file is taken once it is at rest, after the others; a file of tomorrow at once."""
    now_s = 1_800_000_000
    monkeypatch.setattr(walk, "wall_ns", lambda: now_s * 10**9)  # however long this test takes
    for name, age_s in (("a-fresh", 0), ("b-old", 60), ("c-tomorrow", -86_400)):
        (tmp_path / f"{name}.mp4").write_bytes(b"x")
        os.utime(tmp_path / f"{name}.mp4", (now_s - age_s, now_s - age_s))

    begun_s = monotonic_s()
    clips, _, tally = await produced(job_over(tmp_path, settle_s=0.5))

    names = [clip.source.name for clip in clips]
    assert names == ["b-old.mp4", "c-tomorrow.mp4", "a-fresh.mp4"]
    assert monotonic_s() - begun_s > 0.4
    assert (tally.planned_total, tally.passed_over) == (3, {})


async def test_fresh_files_named_outright_are_taken_at_once(tmp_path: Path) -> None:
    """Who names a file wants it now."""
    (tmp_path / "a.mp4").write_bytes(b"x")

    with anyio.fail_after(60):
        clips, _, _ = await produced(job_over(tmp_path / "a.mp4", settle_s=3600))

    assert len(clips) == 1
