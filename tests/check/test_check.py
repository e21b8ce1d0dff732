"""The whole check: what it looks at, what it sends, and what it ends with."""

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from captionfleet.check.check import Options, check_job
from captionfleet.check.estimate import estimate
from captionfleet.check.finding import Finding, Report, fail
from captionfleet.check.rehearsal import rehearse
from captionfleet.check.settings import setting_findings
from captionfleet.check.sources import ClipShape, Library, source_findings, survey
from captionfleet.config import JobConfig
from captionfleet.ledger.settled import Settled
from captionfleet.messages import Source
from captionfleet.producer.sample import Drawing
from captionfleet.standin.options import StandinOptions
from captionfleet.standin.server import serving
from tests.support.command import Command
from tests.support.job_file import write_job
from tests.support.output import Output
from tests.support.tiny_films import lay_to_rest, write_tiny_films

pytestmark = pytest.mark.anyio

OMNI = "Qwen/Qwen3-Omni-30B-A3B-Instruct"
FIREWORKS = "https://api.fireworks.ai/inference/v1"


@pytest.fixture(scope="session")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three sound films, one of them silent, and a text that is called a film."""
    folder = tmp_path_factory.mktemp("films")
    write_tiny_films(folder, 3)
    (folder / "notes.mp4").write_text("these are notes")
    lay_to_rest(folder)
    return folder


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """The command, run in the test's own folder."""
    return Command(tmp_path, is_forked=True)


def job_of(tables: Mapping[str, Any] | None = None, **deployment: Any) -> JobConfig:
    """A job with one deployment that nobody answers for."""
    one = {"base_url": "http://127.0.0.1:9/v1", "model": OMNI, "api_key_env": ""} | deployment
    return JobConfig.model_validate({"deployments": [one], **(tables or {})})


async def checked(job: JobConfig, **options: Any) -> dict[str, Finding]:
    """The findings of a check that sends nothing, by what was looked at; the last of each."""
    with anyio.fail_after(60):
        report = await check_job(job, Options(canary=False, **options))
    return {finding.check: finding for finding in report.findings}


async def test_sources_are_counted_and_the_job_estimated(films: Path, tmp_path: Path) -> None:
    """Every file is counted, one that will fail is named, and tokens follow from the headers."""
    job = job_of({"input": {"sources": [films]}, "output": {"dir": tmp_path / "out"}})
    with anyio.fail_after(60):
        report = await check_job(job, Options(canary=False))
    found = {finding.check: finding for finding in report.findings}
    assert re.match(r"4 files, \d+(\.\d+)? kB, 4 to caption: ", found["sources"].text)
    assert found["formats"].level == "warn"
    assert "1 of 4 probed will fail: 1 not_video" in found["formats"].text
    assert "notes.mp4" in found["formats"].advice
    assert report.estimate is not None
    assert report.estimate["d1"]["clips"] == 3
    # 2 frames of 480x360, 2 of 510x360 and 4 of 540x360, and 2 and 3 s of sound; 28 of text each.
    media = 165 + 176 + 2 * 187 + 26 + 39
    assert report.estimate["d1"]["prompt_tokens"] == pytest.approx(media + 3 * 28, abs=3)
    tokens = report.estimate["d1"]["prompt_tokens"]
    assert f"{tokens} tokens in, 600 out" in found["estimate"].text
    assert not (tmp_path / "out").exists()


async def test_whole_films_are_counted_in_windows(films: Path, tmp_path: Path) -> None:
    """Three films of one, two and three seconds, all of each in windows of a second."""
    tables = {"input": {"sources": [films], "segments": "all"}, "media": {"max_seconds": 1}}
    found = await checked(job_of(tables | {"output": {"dir": tmp_path / "out"}}))
    assert "4 to caption in 6 windows: 6 s of video, of which 6 s are sent" in found["sources"].text
    assert "all 6 clips" in found["estimate"].text


async def test_a_limit_leaves_the_rest_for_later_runs(films: Path, tmp_path: Path) -> None:
    """Only the first two files are estimated; all are counted."""
    tables = {"input": {"sources": [films], "limit": 2}, "output": {"dir": tmp_path / "out"}}
    found = await checked(job_of(tables))
    assert "2 to caption (limit = 2; 2 files wait for later runs): 3 s of" in found["sources"].text
    assert found["formats"].text == "the headers of 2 files are intact"
    assert "2 clips (limit = 2); " in found["estimate"].text
    assert "400 out" in found["estimate"].text


async def test_a_limit_counts_windows(films: Path, tmp_path: Path) -> None:
    """Six windows and a file that fails: a limit of 4 leaves about as many of each."""
    tables = {"input": {"sources": [films], "segments": "all", "limit": 4}}
    tables |= {"media": {"max_seconds": 1}, "output": {"dir": tmp_path / "out"}}
    found = await checked(job_of(tables))
    assert "2 to caption in 3 windows (limit = 4; 2 files wait for" in found["sources"].text
    assert ": about 3 s of video, of which 3 s are sent" in found["sources"].text
    assert "3 clips (limit = 4); " in found["estimate"].text


@pytest.mark.parametrize("limit", [2, 5])
async def test_check_and_dry_run_count_the_same(films: Path, tmp_path: Path, limit: int) -> None:
    """A missing file fails without a request, and counts for the limit all the same."""
    names = ["clip-00.mp4", "missing.mp4", "clip-01.mp4", "notes.mp4", "clip-02.mp4"]
    (tmp_path / "list.txt").write_text("".join(f"{films / name}\n" for name in names))
    tables = {"sources": [tmp_path / "list.txt"], "limit": limit}
    job = job_of({"input": tables, "output": {"dir": tmp_path / "out"}})
    with anyio.fail_after(60):
        library = await survey(job, Settled(), most=9)
        foreseen = await rehearse(job)
    failing = sum(map(len, library.failing.values()))
    assert library.clips + failing == foreseen.clips
    assert library.spent == foreseen.failing.total() == 1
    assert (library.files, library.is_limited) == (5, limit < 5)


@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 9)), max_size=20),
    st.integers(1, 30),
    st.integers(0, 9),
)
def test_no_more_clips_than_the_limit(files: list[tuple[bool, int]], limit: int, most: int) -> None:
    """Whatever the headers say of films that were drawn as one clip each."""
    library = Library(Drawing(most), limit=limit)
    for number, (is_drawn, clips) in enumerate(files):
        if is_drawn:
            library.show(Source(f"/{number}.mp4", f"{number}.mp4", 1, 1), 1)
        else:
            library.spend(clips)
    windows = [files[int(source.name[:-4])][1] for source in library.sample]
    library.shapes = [ClipShape(8.0, 8, 640, 360, audio_s=8.0)] * sum(windows)
    assert library.spent + library.clips <= limit
    assert library.to_do <= library.drawing.seen
    assert library.drawing.seen + library.waiting == sum(is_drawn for is_drawn, _ in files)


@pytest.mark.parametrize(
    ("deployment", "tokens"),
    [
        ({}, 4 * 220 + 104),
        ({"modalities": ["video"]}, 4 * 220),
        # Pictures of 320x180.
        ({"audio_as": "none", "video_as": "frames"}, 2 * (10 * 6 + 2)),
        ({"video_as": "frames"}, 2 * (10 * 6 + 2) + 104),
        ({"video_as": "frames", "server": "llama-server"}, None),
    ],
)
def test_the_estimate_goes_by_what_is_sent(deployment: dict[str, Any], tokens: int | None) -> None:
    """Fewer and smaller pictures cost less, and sound that is not sent nothing."""
    settings = {"server": "vllm", "frames": {"max_frames": 2, "height": 180}}
    job = job_of(**(settings | deployment))
    library = Library(Drawing(1), files=1, shapes=[ClipShape(8.0, 8, 640, 360, audio_s=8.0)])
    library.drawing.show(Source("/a.mp4", "a.mp4", 1, 1))
    told = estimate(job, job.deployments[0], library, None)
    assert told is not None
    assert told.prompt_tokens == (None if tokens is None else pytest.approx(tokens + 28, abs=1))


def test_no_name_writes_a_line_of_its_own() -> None:
    """What stands in a file's name can neither add a finding nor steer the terminal."""
    line = fail("formats", "such as a\x1b[2J\nok    all is well\u202e.mp4").line()
    assert line.endswith(r"such as a\x1b[2J\nok    all is well\u202e.mp4")


def test_seconds_are_no_frames() -> None:
    """Hours that are sent are those of the clips, at any number of frames a second."""
    shape = ClipShape(seconds=3600.0, frames=7200, width=640, height=360, audio_s=0.0)
    library = Library(Drawing(1), files=1, shapes=[shape], source_s=7200.0)
    library.drawing.show(Source("/a.mp4", "a.mp4", 1, 1))
    (told, _) = source_findings(library)
    assert ": 2.0 h of video, of which 1.0 h are sent" in told.text


async def test_a_sample_stands_for_the_rest(films: Path, tmp_path: Path) -> None:
    """With fewer headers read, figures are said to be about so much."""
    job = job_of({"input": {"sources": [films]}, "output": {"dir": tmp_path / "out"}})
    found = await checked(job, most_probed=2)
    assert re.search(r": about \d+ s of video, of which \d+ s are sent", found["sources"].text)
    nothing = await checked(job, most_probed=0)
    assert "formats" not in nothing
    assert "estimate" not in nothing


@pytest.mark.parametrize(
    ("tables", "deployment", "check", "words"),
    [
        ({}, {"model": "m"}, "profile", "if it is one of qwen3-omni, "),
        ({}, {"model": "m", "server": "llama-server"}, "profile", "if it hears, set modalities"),
        ({}, {"server": "ollama", "audio_as": "input_audio"}, "sound", 'modalities = ["video"]'),
        ({}, {"model": "Molmo2-8B", "modalities": ["video", "audio"]}, "profile", "not hear"),
        ({"request": {"response_schema": {"type": "object"}}}, {}, "prompt", "says JSON"),
        (
            {},
            {"base_url": FIREWORKS, "extra_body": {"mm_processor_kwargs": {}}},
            "request",
            "extra_body holds mm_processor_kwargs",
        ),
        ({}, {"base_url": FIREWORKS}, "model", "none of the forms"),
        (
            {"media": {"max_payload_bytes": 20_000_000}},
            {"base_url": FIREWORKS},
            "request",
            "takes less than 10,000,000",
        ),
    ],
)
def test_what_settings_give_away(
    tables: dict[str, Any],
    deployment: dict[str, Any],
    check: str,
    words: str,
) -> None:
    """What is doubtful or wrong is told before anything is sent."""
    found = {one.check: one for one in setting_findings(job_of(tables, **deployment))}
    assert found[check].level == "warn"
    assert words in f"{found[check].text} {found[check].advice}"


async def test_sources_without_a_video_are_those_of_no_run(tmp_path: Path) -> None:
    """A run refuses an empty folder, as its disk may not be mounted, unless the job allows it."""
    tables = {"input": {"sources": [tmp_path]}, "output": {"dir": tmp_path / "out"}}
    found = await checked(job_of(tables))
    assert (found["sources"].level, found["sources"].exit_code) == ("fail", 2)
    assert "is the folder mounted?" in found["sources"].text
    tables["input"] |= {"allow_empty": True}
    assert (await checked(job_of(tables)))["sources"].level == "warn"


async def test_a_source_that_is_missing_hides_nothing_else(tmp_path: Path) -> None:
    """It is exit code 2, and the deployments are looked at all the same."""
    tables = {"input": {"sources": ["/no/such"]}, "output": {"dir": tmp_path / "out"}}
    found = await checked(job_of(tables))
    assert (found["sources"].level, found["sources"].exit_code) == ("fail", 2)
    assert found["reachable"].exit_code == 4


@pytest.mark.parametrize(
    ("findings", "expected"),
    [
        ([], 0),
        ([Finding("sources", "warn", "none")], 0),
        ([fail("frames", "", deployment="a")], 1),
        ([fail("key", "", deployment="a", exit_code=2), fail("x", "", exit_code=4)], 2),
        ([fail("key", "", deployment="a", exit_code=4)], 1),
        ([fail("key", "", deployment=name, exit_code=4) for name in "ab"], 4),
        ([fail("output", "", exit_code=3)], 3),
    ],
)
def test_exit_codes_are_those_of_a_run(findings: list[Finding], expected: int) -> None:
    """A bad job is 2, no usable deployment 4; one that is left, or a server that drops, 1."""
    assert Report(findings, ["a", "b"]).exit_code == expected


async def test_the_command_finds_a_server_that_drops_frames(films: Path, command: Command) -> None:
    """From the job file to exit code 1, one line a finding; three requests are sent."""
    async with serving(StandinOptions(frames="32")) as standin:
        tables = {"input": {"sources": [str(films)]}}
        job = write_job(command.folder / "job.toml", standin, tables=tables, model=OMNI)
        ended = await command("check", "--job", job)
        assert standin.ledger.total == 3
    assert (ended.exit_code, ended.stderr) == (1, "")
    lines = ended.stdout.splitlines()
    (wrong,) = (line for line in lines if line.startswith("fail"))
    assert "d1 frames" in wrong
    assert """--media-io-kwargs '{"video":{"num_frames":-1}}'""" in wrong
    assert any(line.startswith("ok    d1 estimate") and "$" in line for line in lines)
    assert lines[-1] == "1 failed, 1 to look at, exit code 1"


async def test_without_a_canary_nothing_is_paid(command: Command) -> None:
    """With flags alone and --no-canary no answer is asked for; --json is for programs."""
    async with serving(StandinOptions(api_key="hush")) as standin:
        where = ("--base-url", standin.base_url, "--model", OMNI, "--api-key-env", "THE_KEY")
        right = {"THE_KEY": "hush"}
        good = await command("check", *where, "--no-canary", "--json", variables=right)
        bad = await command("check", *where, "--no-canary", variables={"THE_KEY": "wrong"})
        assert standin.ledger.total == 0
    told = orjson.loads(good.stdout)
    assert (good.exit_code, told["exit_code"], told["estimate"]) == (0, 0, None)
    assert {one["level"] for one in told["findings"]} == {"ok", "warn"}
    assert "hush" not in good.stdout
    assert bad.exit_code == 4
    assert "fail  d1 key" in bad.stdout


async def test_what_a_run_settled_is_not_estimated_again(films: Path, command: Command) -> None:
    """After a run nothing is left to do; a run whose media were dropped says so."""
    output = Output(command.folder / "out")
    videos = command.folder / "videos"
    shutil.copytree(films, videos)
    async with serving(StandinOptions(deaf=True)) as standin:
        where = ("videos", "--out", "out", "--base-url", standin.base_url, "--model", OMNI)
        ran = await command("run", *where)
        tables = {"input": {"sources": [videos]}, "output": {"dir": output.folder}}
        left = await checked(job_of(tables, base_url=standin.base_url))
        asks = {"request": {"prompt": "Who?"}}
        other = await checked(job_of(tables | asks, base_url=standin.base_url))
    assert "warning     d1: " in ran.stdout
    assert "as if the sound were not heard: see captionfleet check" in ran.stdout
    assert output.run["media_tokens"]["d1"]["deviation"] < -0.05
    assert re.fullmatch(
        r"4 files, \d+(\.\d+)? kB, 4 settled before, 0 to caption", left["sources"].text
    )
    assert other["output"].exit_code == 2
    assert "made with another request" in other["output"].text
