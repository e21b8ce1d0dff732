"""The output folder: locking, appending, settling, crashing."""

import math
import os
import signal
import subprocess
import sys
from codecs import BOM_UTF8
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import orjson
import pytest
from blockbuster import blockbuster_ctx

import captionfleet
from captionfleet.config import OutputConfig
from captionfleet.errors import FailureCode, OutputError
from captionfleet.ledger.folder import Ledger, open_ledger
from captionfleet.messages import Outcome
from captionfleet.sink import RunStatistics, drain
from captionfleet.telemetry import Tally
from tests.support.outcomes import make_caption, make_clip, make_failure

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def nothing_blocks_the_loop() -> Iterator[None]:
    with blockbuster_ctx(captionfleet):
        yield


@pytest.fixture
def output(tmp_path: Path) -> OutputConfig:
    return OutputConfig(dir=tmp_path / "deep" / "captions")


def records(output: OutputConfig, name: str) -> list[dict[str, Any]]:
    """All lines of a file."""
    return [orjson.loads(line) for line in (output.dir / name).read_bytes().splitlines()]


def numbers(output: OutputConfig, name: str) -> list[int]:
    """The clips' numbers, in the lines' order."""
    return [int(record["clip_id"], 16) for record in records(output, name)]


async def append_failures(output: OutputConfig, *several: int) -> None:
    """A run in which these clips fail."""
    async with open_ledger(output) as ledger:
        for number in several:
            await ledger.append(make_failure(make_clip(number)))


async def test_every_outcome_gets_its_line(output: OutputConfig) -> None:
    """Captions and failures stand in their files, in order, and stay for the next run."""
    async with open_ledger(output) as ledger:
        await ledger.append(make_caption(make_clip(1)))
        await ledger.append(make_failure(make_clip(2)))
    async with open_ledger(output) as ledger:
        await ledger.append(make_caption(make_clip(3)))

    assert numbers(output, "captions.jsonl") == [1, 3]
    assert numbers(output, "failures.jsonl") == [2]


async def test_a_line_is_there_as_soon_as_it_is_appended(output: OutputConfig) -> None:
    """Whoever follows the file sees each caption at once."""
    async with open_ledger(output) as ledger:
        await ledger.append(make_caption(make_clip(1)))

        assert numbers(output, "captions.jsonl") == [1]


async def test_lines_of_many_tasks_do_not_mix(output: OutputConfig) -> None:
    """Appends that overlap give whole lines."""
    async with open_ledger(output) as ledger, anyio.create_task_group() as tasks:
        for number in range(100):
            tasks.start_soon(ledger.append, make_caption(make_clip(number), text="x" * 9000))

    assert sorted(numbers(output, "captions.jsonl")) == list(range(100))


async def test_a_torn_line_is_mended_and_told(output: OutputConfig) -> None:
    """What a killed run left half written is cut off, kept aside and counted."""
    output.dir.mkdir(parents=True)
    (output.dir / "captions.jsonl").write_bytes(b'{"clip_id":"%032x"}\n{"clip_id":"00' % 1)
    (output.dir / "failures.jsonl").write_bytes(b'{"clip_id":"%032x","co' % 2)

    async with open_ledger(output) as ledger:
        assert ledger.torn_lines_repaired == 2
        await ledger.append(make_caption(make_clip(3)))

    assert numbers(output, "captions.jsonl") == [1, 3]
    assert [path.read_bytes() for path in output.dir.glob("captions.jsonl.torn-*")] == [
        b'{"clip_id":"00'
    ]


async def test_a_byte_order_mark_costs_no_failure_its_line(output: OutputConfig) -> None:
    """A failures.jsonl that went through an editor keeps its first line, which resume counts."""
    await append_failures(output, 1, 2)
    failures = output.dir / "failures.jsonl"
    failures.write_bytes(BOM_UTF8 + failures.read_bytes())
    async with open_ledger(output) as ledger:
        await ledger.settle(lambda *_: True)

    assert numbers(output, "failures.jsonl") == [1, 2]


async def test_a_failure_line_goes_when_the_clip_is_captioned(output: OutputConfig) -> None:
    """After a run, a clip that got its caption no longer stands failed."""
    await append_failures(output, 1, 2)
    async with open_ledger(output) as ledger:
        await ledger.append(make_caption(make_clip(1)))
        await ledger.append(make_failure(make_clip(2), FailureCode.OVERLOADED))

    assert [(int(r["clip_id"], 16), r["code"]) for r in records(output, "failures.jsonl")] == [
        (2, "overloaded")
    ]


async def test_a_failure_before_the_bytes_were_known_goes_with_the_caption(
    output: OutputConfig,
) -> None:
    """A clip that is known by content stands failed no more under its name, size and time."""
    await append_failures(output, 1, 2)
    async with open_ledger(output) as ledger:
        await ledger.append(make_caption(replace(make_clip(7), stat_id=make_clip(1).clip_id)))
        await ledger.append(make_failure(replace(make_clip(8), stat_id=make_clip(2).clip_id)))

    assert numbers(output, "failures.jsonl") == [8]


async def test_settling_asks_about_clips_that_were_not_tried(output: OutputConfig) -> None:
    """Of earlier failures stay those the run vouches for; its own all stay, once each."""
    await append_failures(output, 1, 2, 3)
    asked = []

    def keeps_failure(clip_id: str, _request: str) -> bool:
        asked.append(int(clip_id, 16))
        return int(clip_id, 16) == 2

    async with open_ledger(output) as ledger:
        for code in (FailureCode.TIMEOUT, FailureCode.OVERLOADED):
            await ledger.append(make_failure(make_clip(3), code))
        await ledger.settle(keeps_failure)
        assert numbers(output, "failures.jsonl") == [2, 3]
        await ledger.append(make_failure(make_clip(4)))

    assert numbers(output, "failures.jsonl") == [2, 3, 4]
    assert records(output, "failures.jsonl")[1]["code"] == "overloaded"
    assert sorted(asked) == [1, 2]


async def test_a_run_that_breaks_off_keeps_earlier_failures(output: OutputConfig) -> None:
    """An error that ends the run forgets no clip that stands failed."""
    await append_failures(output, 1)
    with suppress(ZeroDivisionError):
        async with open_ledger(output) as ledger:
            await ledger.append(make_failure(make_clip(2)))
            raise ZeroDivisionError

    assert numbers(output, "failures.jsonl") == [1, 2]
    await append_failures(output)  # the folder is free again


async def test_run_json_is_replaced(output: OutputConfig) -> None:
    """run.json holds the last record, runs/ keeps it for this run alone, and no draft stays."""
    async with open_ledger(output) as ledger:
        await ledger.write_run({"captioned": 1})
        await ledger.write_run({"captioned": 2})

    assert orjson.loads((output.dir / "run.json").read_bytes()) == {"captioned": 2}
    (kept,) = (output.dir / "runs").iterdir()
    assert kept.read_bytes() == (output.dir / "run.json").read_bytes()
    assert {path.name for path in output.dir.iterdir()} == {
        ".lock",
        "captions.jsonl",
        "failures.jsonl",
        "run.json",
        "runs",
    }


async def test_a_file_in_place_of_the_folder_is_an_error(tmp_path: Path) -> None:
    """An output folder that cannot be made ends the run with one line."""
    (tmp_path / "captions").touch()

    with pytest.raises(OutputError) as caught:
        async with open_ledger(OutputConfig(dir=tmp_path / "captions")):
            pytest.fail("opened")
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 3


RUN = """
import sys
from pathlib import Path

import anyio
from captionfleet.config import OutputConfig
from captionfleet.ledger.folder import open_ledger
from tests.support.outcomes import make_caption, make_clip

async def run():
    async with open_ledger(OutputConfig(dir=Path(sys.argv[1]))) as ledger:
        for number in range(int(sys.argv[2])):
            await ledger.append(make_caption(make_clip(number), text="x" * 20_000))
            print(number, flush=True)
        sys.stdin.read()

anyio.run(run)
"""


def start_run(output: OutputConfig, captions: int) -> "subprocess.Popen[str]":
    """A run in another process, which tells every number that it has appended."""
    return subprocess.Popen(
        [sys.executable, "-c", RUN, str(output.dir), str(captions)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


async def test_two_runs_never_share_a_folder(output: OutputConfig) -> None:
    """The second run is refused, told who holds the folder, and free to go once that is dead."""
    with start_run(output, 1) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == "0\n"

        with pytest.raises(OutputError, match=rf"another run \(pid {run.pid} on host .* since 20"):
            await append_failures(output, 1)

        run.kill()
        run.wait(10)
        await append_failures(output, 1)
        run.communicate()


async def test_a_holder_nobody_can_read_is_still_a_holder(output: OutputConfig) -> None:
    """A damaged note on who holds the folder changes the message, not the answer."""
    async with open_ledger(output):
        for note in (b"", b"[]", b'{"pid": "\\n"}', b"\xff" * 5000):
            (output.dir / ".lock-holder.json").write_bytes(note)
            with pytest.raises(OutputError, match="another run holds"):
                await append_failures(output, 1)


async def test_a_killed_run_loses_no_caption_it_had_written(output: OutputConfig) -> None:
    """After kill -9 amid its appends every acknowledged line is whole, and the file mended."""
    with start_run(output, 100_000) as run:
        assert run.stdout is not None
        acknowledged = [int(run.stdout.readline()) for _ in range(50)]
        os.kill(run.pid, signal.SIGKILL)
        acknowledged += [int(line) for line in run.stdout.read().splitlines()]

    async with open_ledger(output) as ledger:
        assert ledger.torn_lines_repaired <= 1

    written = numbers(output, "captions.jsonl")
    assert written == list(range(len(written)))
    assert len(written) >= len(acknowledged) >= 50


def ignore(_: Outcome) -> None:
    """Hear of an outcome whose line is written."""


async def drained(
    output: OutputConfig, outcomes: list[Outcome]
) -> tuple[Tally, RunStatistics, list[Outcome]]:
    """Send outcomes through the stage; those whose line it wrote come last."""
    tally, statistics, kept = Tally(), RunStatistics(), list[Outcome]()
    outcomes_out, outcomes_in = anyio.create_memory_object_stream[Outcome](1)
    with anyio.fail_after(60):
        async with open_ledger(output) as ledger, anyio.create_task_group() as tasks:
            tasks.start_soon(drain, ledger, outcomes_in, tally, statistics, kept.append)
            async with outcomes_out:
                for outcome in outcomes:
                    await outcomes_out.send(outcome)
    return tally, statistics, kept


async def test_draining_writes_and_counts(output: OutputConfig) -> None:
    """Every outcome is a line, and the tally and the statistics agree with the files."""
    tally, statistics, kept = await drained(
        output, [make_caption(make_clip(1)), make_failure(make_clip(2)), make_caption(make_clip(3))]
    )

    assert (tally.captioned, tally.failed) == (2, 1)
    assert (statistics.captioned, statistics.failed) == (2, 1)
    assert [one.clip for one in kept] == [make_clip(number) for number in (1, 2, 3)]
    assert numbers(output, "captions.jsonl") == [1, 3]
    assert numbers(output, "failures.jsonl") == [2]


async def test_what_was_paid_is_kept_when_the_run_is_cancelled(output: OutputConfig) -> None:
    """Cancelled, the sink still writes the outcomes that lie in its stream."""
    tally = Tally()
    outcomes_out, outcomes_in = anyio.create_memory_object_stream[Outcome](5)
    for number in range(5):
        outcomes_out.send_nowait(make_caption(make_clip(number)))
    async with open_ledger(output) as ledger, anyio.create_task_group() as tasks:
        tasks.start_soon(drain, ledger, outcomes_in, tally, RunStatistics(), ignore)
        tasks.cancel_scope.cancel()
    outcomes_out.close()

    assert tally.captioned == 5
    assert numbers(output, "captions.jsonl") == list(range(5))


@pytest.mark.parametrize("fsync_s", [0.0, 0.01, 100.0])
async def test_lines_reach_the_disk_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fsync_s: float
) -> None:
    """A line is synced by the policy even if no other line follows, and at the end always."""
    fsync, synced = os.fsync, anyio.Event()

    def fsync_and_tell(handle: int) -> None:
        fsync(handle)
        path = tmp_path / "captions.jsonl"
        if path.exists() and os.path.samestat(os.fstat(handle), path.stat()):
            anyio.from_thread.run_sync(synced.set)

    monkeypatch.setattr(os, "fsync", fsync_and_tell)
    output = OutputConfig(dir=tmp_path, fsync_s=fsync_s)
    outcomes_out, outcomes_in = anyio.create_memory_object_stream[Outcome](1)
    async with open_ledger(output) as ledger, anyio.create_task_group() as tasks:
        tasks.start_soon(drain, ledger, outcomes_in, Tally(), RunStatistics(), ignore)
        await anyio.wait_all_tasks_blocked()
        synced = anyio.Event()
        await outcomes_out.send(make_caption(make_clip(1)))
        with anyio.move_on_after(60 if fsync_s < 1 else 0.2):
            await synced.wait()
        assert synced.is_set() == (fsync_s < 1)
        synced = anyio.Event()
        outcomes_out.close()

    assert synced.is_set()


async def test_a_write_error_ends_the_run(output: OutputConfig) -> None:
    """A line that cannot be written is no outcome: the run stops instead of losing it."""
    outcomes_out, outcomes_in = anyio.create_memory_object_stream[Outcome](math.inf)
    outcomes_out.send_nowait(make_caption(make_clip(1)))
    tally = Tally()
    with outcomes_out, anyio.fail_after(60):
        async with open_ledger(output) as ledger:
            (output.dir / "captions.jsonl").unlink()
            with pytest.raises(ExceptionGroup) as caught:
                await drain(ledger, outcomes_in, tally, RunStatistics(), [].append)

    assert caught.group_contains(OutputError)
    assert tally.captioned == 0


async def test_cancelling_an_append_never_tears_the_line(output: OutputConfig) -> None:
    """An append that was begun is finished, wherever a cancellation falls: it has been paid."""
    async with open_ledger(output) as ledger:
        for number in range(30):
            await _append_and_cancel(ledger, number, pauses=number % 5)

    assert numbers(output, "captions.jsonl") == list(range(30))


async def _append_and_cancel(ledger: Ledger, number: int, *, pauses: int) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ledger.append, make_caption(make_clip(number), text="x" * 50_000))
        for _ in range(pauses):
            await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()


async def test_lock_that_is_removed_lets_no_second_run_in(output: OutputConfig) -> None:
    """While a run writes, its folder stays its own, whatever somebody removes from it."""
    async with open_ledger(output):
        (output.dir / ".lock").unlink()
        with pytest.raises(OutputError, match=r"another run \(pid"):
            await append_failures(output, 1)
    await append_failures(output, 1)
