"""Films are measured once, and counted window by window."""

from collections.abc import Mapping
from pathlib import Path

import anyio
import orjson
import pytest
from pydantic import ValidationError

from captionfleet.config import JobConfig
from captionfleet.errors import FailureCode
from captionfleet.ledger.files.names import FILMS
from captionfleet.ledger.folder import open_ledger
from captionfleet.ledger.settled import Settled
from captionfleet.messages import Clip, Failure, Film, Note, Outcome, Source
from captionfleet.producer import Films, count_ahead, produce
from captionfleet.telemetry import Tally

LENGTHS_S = {"a.mp4": 130.0, "b.mp4": 59.5, "c.mp4": 240.5, "d.mp4": 61.5}
WINDOWS, FOOTAGE_S = 3 + 1 + 4 + 2, 130 + 60 + 240 + 62


@pytest.fixture
def job(tmp_path: Path) -> JobConfig:
    folder = tmp_path / "videos"
    folder.mkdir()
    for number, name in enumerate(LENGTHS_S):
        (folder / name).write_bytes(b"x" * (number + 1))
    return JobConfig.model_validate(
        {
            "input": {"sources": [folder], "settle_s": 0, "segments": "all"},
            "output": {"dir": tmp_path / "out"},
        }
    )


class Opener:
    """Stands for the worker process that opens films, and counts what it is asked for."""

    def __init__(
        self, scenes: Mapping[str, tuple[float, ...]] | None = None, **refusals: FailureCode
    ) -> None:
        self.opened: list[str] = []
        self._scenes = scenes
        self._refusals = refusals

    async def measure(self, source: Source) -> Film | FailureCode:
        """Open one."""
        await anyio.lowlevel.checkpoint()
        self.opened.append(source.name)
        refusal = self._refusals.get(Path(source.name).stem)
        seconds = LENGTHS_S[source.name]
        ends_s = () if self._scenes is None else self._scenes.get(source.name, (seconds,))
        return refusal or Film(seconds, scene_ends_s=ends_s)


async def night(
    job: JobConfig, opener: Opener, outcomes: list[Outcome | Note] | None = None
) -> Tally:
    """Find all clips, and count them on the side."""
    tally = Tally()
    clips_out, clips_in = anyio.create_memory_object_stream[Clip](1)
    outcomes_out, outcomes_in = anyio.create_memory_object_stream[Outcome | Note](9)
    async with open_ledger(job.output) as ledger, clips_in, outcomes_in:
        films = await Films.of(job, opener.measure, ledger.note)
        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(count_ahead, job, Settled(), tally, films)
                tasks.start_soon(produce, job, Settled(), tally, clips_out, outcomes_out, films)
                async for clip in clips_in:
                    assert clip.film.seconds in {0.0, *LENGTHS_S.values()}
                if outcomes is not None:
                    outcomes += [outcome async for outcome in outcomes_in]
    return tally


@pytest.mark.anyio
async def test_each_film_is_opened_once(job: JobConfig) -> None:
    """By the run or by the count beside it, and by no later run; both come to the same number."""
    opener = Opener()
    tally = await night(job, opener)
    assert sorted(opener.opened) == sorted(LENGTHS_S)
    assert (tally.planned, tally.outlook.clips, tally.outlook.is_whole) == (WINDOWS, WINDOWS, True)
    assert tally.outlook.left_s() == pytest.approx(FOOTAGE_S, abs=1)
    again = await night(job, opener)
    assert sorted(opener.opened) == sorted(LENGTHS_S)
    assert (again.planned, again.outlook.clips) == (WINDOWS, WINDOWS)


@pytest.mark.anyio
async def test_a_changed_film_is_measured_again(job: JobConfig) -> None:
    """What is remembered is of one version of a file."""
    opener = Opener()
    await night(job, opener)
    (job.input.sources[0] / "b.mp4").write_bytes(b"another")
    await night(job, opener)
    assert opener.opened.count("b.mp4") == 2
    assert len(opener.opened) == len(LENGTHS_S) + 1


@pytest.mark.anyio
async def test_what_cannot_be_measured(job: JobConfig) -> None:
    """A film that is none is not opened every night, one that could not be read is.

    What is left out of that one has a failure, so that no window is lost without a word.
    """
    opener = Opener(b=FailureCode.NOT_VIDEO, c=FailureCode.SOURCE_UNREADABLE)
    outcomes: list[Outcome | Note] = []
    assert (await night(job, opener, outcomes)).planned == 3 + 1 + 2 + 2
    (failure,) = outcomes
    assert isinstance(failure, Failure)
    assert (failure.clip.start_s, failure.code) == (60.0, "source_unreadable")
    await night(job, opener)
    assert [opener.opened.count(name) for name in sorted(LENGTHS_S)] == [1, 1, 2, 1]
    retrying = {"input": job.input.model_copy(update={"retry_failed": ("all",)})}
    await night(job.model_copy(update=retrying), opener)
    assert [opener.opened.count(name) for name in sorted(LENGTHS_S)] == [1, 2, 3, 1]


@pytest.mark.anyio
async def test_a_library_that_moved(job: JobConfig) -> None:
    """What is known of its films goes along, for all later runs."""
    opener = Opener()
    await night(job, opener)
    old = job.input.sources[0]
    new = old.rename(old.with_name("elsewhere"))
    moved = job.input.model_copy(update={"sources": (new,), "relocate": {old: new}})
    assert (await night(job.model_copy(update={"input": moved}), opener)).planned == WINDOWS
    later = job.input.model_copy(update={"sources": (new,)})
    assert (await night(job.model_copy(update={"input": later}), opener)).planned == WINDOWS
    assert len(opener.opened) == len(LENGTHS_S)


SCENES = {"a.mp4": (4.0, 33.25, 90.5, 130.0), "c.mp4": (100.0, 240.5)}


@pytest.mark.anyio
async def test_scenes_are_looked_for_once(job: JobConfig) -> None:
    """By whatever run, and however films are measured later; what is no list of scenes is none."""
    await night(job, Opener())
    input_ = job.input.model_copy(update={"segments": "scenes"})
    by_scenes = job.model_copy(update={"input": input_})
    opener = Opener(scenes=SCENES)
    assert (await night(by_scenes, opener)).planned == 3 + 1 + 5 + 2
    assert sorted(opener.opened) == sorted(LENGTHS_S)
    path = job.output.dir / FILMS
    records = [orjson.loads(line) for line in path.read_bytes().splitlines()]
    path.write_bytes(b"".join(orjson.dumps(one | {"measured_by": 9}) + b"\n" for one in records))
    assert (await night(by_scenes, opener)).planned == 3 + 1 + 5 + 2
    assert len(opener.opened) == len(LENGTHS_S)
    path.unlink()
    outcomes: list[Outcome | Note] = []
    stopped = Opener(scenes=SCENES, c=FailureCode.PREPARE_TIMEOUT)
    assert (await night(by_scenes, stopped, outcomes)).planned == 3 + 1 + 1 + 2
    (failure,) = outcomes
    assert isinstance(failure, Failure)
    assert (failure.clip.start_s, failure.code) == (0.0, "prepare_timeout")
    for ends_s in ([5.0, 3.0], ["x"], [-1.0, 4.0], 7):
        path.write_bytes(
            b"".join(orjson.dumps(r | {"scene_ends_s": ends_s}) + b"\n" for r in records)
        )
        opener.opened.clear()
        await night(by_scenes, opener)
        assert sorted(opener.opened) == sorted(LENGTHS_S)


@pytest.mark.parametrize(
    "change", [{"measured_by": 0}, {"seconds": "long"}, {"film_id": "ffff"}], ids=str
)
@pytest.mark.anyio
async def test_lines_that_do_not_count_cost_one_opening(
    job: JobConfig, change: dict[str, object]
) -> None:
    """What an earlier version measured, and what no version wrote."""
    opener = Opener()
    await night(job, opener)
    path = job.output.dir / FILMS
    records = [orjson.loads(line) | change for line in path.read_bytes().splitlines()]
    path.write_bytes(b"".join(orjson.dumps(one) + b"\n" for one in records))
    assert (await night(job, opener)).planned == WINDOWS
    assert len(opener.opened) == 2 * len(LENGTHS_S)


@pytest.mark.parametrize("wrong", [{"overlap_s": 1.0}, {"min_s": 31.0}, {"min_s": 0.5}], ids=str)
def test_bounds_that_cannot_be(wrong: dict[str, float]) -> None:
    """Scenes do not overlap, and two of the shortest fit into a clip."""
    with pytest.raises(ValidationError, match=r"overlap_s|min_s"):
        JobConfig.model_validate({"input": {"segments": "scenes", **wrong}})


@pytest.mark.anyio
async def test_a_row_of_a_window_that_the_film_has_is_not_lost(job: JobConfig) -> None:
    """Where it says anything else than the film's row, it is bad; named first, it counts."""
    folder = job.input.sources[0]
    (folder / "all.csv").write_text(
        "path,id,start_s,end_s\n"
        "a.mp4,film,,\na.mp4,window,60,120\na.mp4,film,0,60\n"
        "c.mp4,window,60,120\nc.mp4,film,,\n"
    )
    sources = (folder, folder / "all.csv")
    outcomes: list[Outcome | Note] = []
    job = job.model_copy(update={"input": job.input.model_copy(update={"sources": sources})})
    tally = await night(job, Opener(), outcomes)
    (bad,) = [one for one in outcomes if isinstance(one, Failure)]
    assert bad.detail.startswith("row 3: it names the same film and window as row 2, with another")
    assert bad.clip.source.path == str(folder / "all.csv")
    assert tally.planned == WINDOWS + 1
