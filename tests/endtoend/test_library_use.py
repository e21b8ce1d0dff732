"""Runs that a Python program makes, without the command line."""

import subprocess
import sys
from contextlib import aclosing, suppress
from pathlib import Path

import anyio
import pytest

from captionfleet import Caption, Failure, JobConfig, RunError, caption, load_job, run_job
from captionfleet.standin.faults import parse_fault
from captionfleet.standin.options import StandinOptions
from captionfleet.standin.server import serving
from tests.support.command import Command, until
from tests.support.job_file import write_job
from tests.support.output import Output, check_provenance
from tests.support.replica import answer, completion, error_body, scripted
from tests.support.tiny_films import Library

SCRIPT = """
import anyio
from captionfleet import JobConfig, RunError, run_job

job = JobConfig.model_validate({{
    "input": {{"sources": [{source!r}]}},
    "deployments": [{{"base_url": {base_url!r}, "model": "omni"}}],
    "store": {{"dir": "store"}},
    "output": {{"dir": "out"}},
}})
summary = anyio.run(run_job, job)
print(type(summary).__name__, summary.planned, summary.captioned, summary.exit_code)
try:
    anyio.run(run_job, JobConfig())
except RunError as error:
    print(error.exit_code, error)
"""


@pytest.mark.anyio
async def test_script_runs_a_job(library: Library, tmp_path: Path) -> None:
    """A script, with no main guard even, captions through run_job and gets a RunSummary."""
    async with serving(StandinOptions()) as standin:
        script = SCRIPT.format(source=str(library.films[0]), base_url=standin.base_url)
        (tmp_path / "caption.py").write_text(script)
        ended = await Command(tmp_path, ("caption.py",))()
        check_provenance(Output(tmp_path / "out").captions, standin)
    assert (ended.exit_code, ended.stderr) == (0, "")
    summary, error = ended.stdout.splitlines()
    assert summary == "RunSummary 1 1 0"
    assert error.startswith("2 deployments: name at least one")


@pytest.mark.anyio
async def test_nothing_blocks_the_loop(library: Library, tmp_path: Path) -> None:
    """From the first file to run.json nothing blocks the event loop; a fixture watches it."""
    faults = (parse_fault("429:0.2"), parse_fault("reset-before:0.1"))
    async with serving(StandinOptions(faults=faults)) as standin:
        path = write_job(tmp_path / "job.toml", standin, tables={"request": {"stream": True}})
        overrides = {
            "input": {"sources": library.films[:8]},
            "store": {"dir": tmp_path / "store"},
            "output": {"dir": tmp_path / "out"},
        }
        job = load_job(path, overrides)
        with anyio.fail_after(60):
            summary = await run_job(job)
            again = await run_job(job)
        check_provenance(Output(tmp_path / "out").captions, standin)
    assert (summary.captioned, again.already_captioned) == (8, 8)


@pytest.mark.anyio
async def test_cancelled_run_leaves_a_folder_to_go_on_with(
    library: Library, tmp_path: Path, output: Output
) -> None:
    """A program may cancel run_job: what was captioned is kept and the folder is free again."""
    async with serving(StandinOptions(slots=1, service_time_s=0.3)) as standin:
        path = write_job(tmp_path / "job.toml", standin, max_in_flight=1)
        overrides = {
            "input": {"sources": library.films[:4]},
            "store": {"dir": library.store},
            "output": {"dir": tmp_path / "out"},
        }
        job = load_job(path, overrides)
        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(run_job, job)
                await until(lambda: output.line_count() > 0)
                tasks.cancel_scope.cancel()
            kept = output.captions
            assert 1 <= len(kept) < 4
            summary = await run_job(job)
        assert (summary.already_captioned, summary.captioned) == (len(kept), 4 - len(kept))
        assert output.captions[: len(kept)] == kept


def test_error_of_a_run_is_a_run_error(tmp_path: Path) -> None:
    """What the command would exit with is the exit_code of the one exception to catch."""
    with pytest.raises(RunError, match="name at least one") as caught:
        anyio.run(run_job, JobConfig())
    assert caught.value.exit_code == 2
    with pytest.raises(RunError, match="cannot read the job file") as caught:
        load_job(tmp_path / "nowhere.toml", {})
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    "module", ["captionfleet", "captionfleet.media.entry", "captionfleet.__main__"]
)
def test_worker_process_starts_light(module: str) -> None:
    """What a worker process imports holds neither the HTTP client nor the validation library."""
    code = f"import sys, {module}; print(*sys.modules)"
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    heavy = {"aiohttp", "anyio", "av", "cyclopts", "numpy", "pydantic", "structlog", "tqdm"}
    unneeded = {"captionfleet.messages.outcome", "statistics"}
    assert not (heavy | unneeded) & set(told.stdout.split())


@pytest.mark.anyio
async def test_outcomes_come_one_by_one_with_their_lines_kept(
    library: Library, tmp_path: Path
) -> None:
    """A loop gets every caption and failure, and may be left at any time."""
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no film")
    output = Output(tmp_path / "out")
    async with serving(StandinOptions(slots=1)) as standin:
        path = write_job(tmp_path / "job.toml", standin)
        tables: dict[str, dict[str, object]] = {
            "input": {"sources": [*library.films[:5], broken]},
            "store": {"dir": library.store},
            "output": {"dir": tmp_path / "out"},
        }
        job = load_job(path, tables)
        with anyio.fail_after(60):
            async with aclosing(caption(job)) as some:
                first_of_all = await anext(some)
                assert len(output.captions) + len(output.failures) >= 1
            assert isinstance(first_of_all, Caption | Failure)
        first = len(output.captions) + len(output.failures)
        outcomes = [outcome async for outcome in caption(job)]
        told: list[Caption | Failure] = []

        async def note(outcome: Caption | Failure) -> None:
            told.append(outcome)

        summary = await run_job(job, on_outcome=note)
    assert 1 <= first <= 5
    for line in output.captions:  # what was on its way when the loop was left is asked again
        assert line["media"]["video_sha256"] in line["caption"]
    captions = [outcome for outcome in outcomes if isinstance(outcome, Caption)]
    assert {one.clip.clip_id for one in captions} <= {line["clip_id"] for line in output.captions}
    assert len(output.captions) == 5
    assert (summary.captioned, summary.already_captioned, told) == (0, 5, [])
    assert repr(summary).startswith("<RunSummary captionfleet: 0 captioned")


@pytest.mark.anyio
@pytest.mark.parametrize("how", ["break", "error", "callback"])
async def test_leaving_loses_no_answer(how: str, library: Library, tmp_path: Path) -> None:
    """Left while eight answers are there and one was looked at, the next run pays for none."""
    output = Output(tmp_path / "out")
    async with serving(StandinOptions(watch_media=False)) as standin:
        path = write_job(tmp_path / "job.toml", standin)
        overrides: dict[str, dict[str, object]] = {
            "input": {"sources": library.films[:8]},
            "store": {"dir": library.store},
            "output": {"dir": output.folder},
        }
        job = load_job(path, overrides)

        async def leave(_: Caption | Failure) -> None:
            await until(lambda: standin.ledger.by_status[200] == 8)
            await anyio.wait_all_tasks_blocked()
            if how != "break":
                raise ZeroDivisionError

        with anyio.fail_after(60):
            if how == "callback":
                with pytest.raises(ExceptionGroup):
                    await run_job(job, on_outcome=leave)
            else:
                with suppress(ZeroDivisionError):
                    async with aclosing(caption(job)) as outcomes:
                        await leave(await anext(outcomes))
            assert output.line_count() == 8
            summary = await run_job(job)
        assert (summary.already_captioned, standin.ledger.total) == (8, 8)
    assert len({line["clip_id"] for line in output.captions}) == 8


@pytest.mark.anyio
@pytest.mark.usefixtures("short_cold_waits")
async def test_a_fleet_that_goes_down_loses_no_caption(library: Library, tmp_path: Path) -> None:
    """A caption for which a better one was asked is kept where no deployment comes back."""
    output = Output(tmp_path / "out")
    stuck = answer(200, completion("the waves roll in " * 30))
    async with scripted(stuck) as replica:
        replica.default = answer(503, error_body("DEPLOYMENT_SCALING_UP"))
        path = write_job(tmp_path / "job.toml", replica.base_url)
        overrides: dict[str, dict[str, object]] = {
            "input": {"sources": library.films[:1]},
            "store": {"dir": library.store},
            "output": {"dir": output.folder},
            "request": {"patience_s": 0.4},
        }
        job = load_job(path, overrides)
        with anyio.fail_after(60):
            with pytest.raises(RunError, match="no deployment was up"):
                await run_job(job)
            (line,) = output.captions
            assert (line["flags"], line["attempts"] > 1) == ("degenerate", True)
            asked = len(replica.seen)
            assert (await run_job(job)).already_captioned == 1
        assert not [seen for seen in replica.seen[asked:] if seen.method == "POST"]


def test_error_of_a_run_is_one_that_can_be_caught() -> None:
    """Whatever is wrong with a job is a RunError, also where a stream is asked for."""

    async def main() -> None:
        async for _ in caption(load_job(overrides={"input": {"sources": ["nowhere"]}})):
            pass

    with pytest.raises(RunError, match="deployments"):
        anyio.run(main)
    with pytest.raises(RunError, match="unknown key"):
        load_job(overrides={"input": {"source": ["x"]}})
