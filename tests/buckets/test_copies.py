"""The copy of an output folder in a bucket: always whole, and enough to continue from."""

import os
import signal
from functools import partial
from pathlib import Path
from shutil import copytree, rmtree

import anyio
import orjson
import pytest

from captionfleet.check.preconditions import precondition_findings
from captionfleet.check.rehearsal import rehearse
from captionfleet.errors import ConfigError
from captionfleet.standin.options import StandinOptions
from captionfleet.standin.server import serving
from tests.buckets.conftest import KEY, SECRET, Bucket
from tests.support.command import Command, Running
from tests.support.nights import Nights
from tests.support.tiny_films import Library

pytestmark = pytest.mark.anyio

UNTRIED = "whether it may be written is not checked"


@pytest.fixture
def films(nights: Nights, library: Library) -> Nights:
    """Four films."""
    nights.videos.mkdir()
    for film in library.films[:4]:
        (nights.videos / film.name).write_bytes(film.read_bytes())
    return nights


def copied(bucket: Bucket, every_s: float = 300) -> dict[str, dict[str, object]]:
    """The setting that asks for a copy."""
    return {"output": {"copy_to": f"{bucket.url}/night", "copy_every_s": every_s}}


def in_copy(bucket: Bucket, name: str) -> bytes:
    return bucket.get(f"night/{name}")


async def test_a_lost_folder_is_restored_and_nothing_is_paid_twice(
    bucket: Bucket, films: Nights, library: Library
) -> None:
    """The copy holds what the folder holds; from an empty folder the next run goes on."""
    films.output.folder.mkdir()
    large = b"{}\n" * 6_000_000  # several parts
    (films.output.folder / "pruned.jsonl").write_bytes(large + b'{"torn')
    async with serving(StandinOptions()) as standin:
        first = await films.run(standin, **copied(bucket))
        there = {name: in_copy(bucket, name) for name in ("captions.jsonl", "requests.json")}
        here = {name: (films.output.folder / name).read_bytes() for name in there}
        (films.videos / "new.mp4").write_bytes(library.films[5].read_bytes())
        rmtree(films.output.folder)
        second = await films.run(standin, **copied(bucket))
        total = standin.ledger.total

    assert there == here
    assert (films.output.folder / "pruned.jsonl").read_bytes() == large
    assert orjson.loads(in_copy(bucket, "run.json"))["copy"]["is_current"]
    assert {name for name in bucket.keys() if "/runs/" in name}  # noqa: SIM118 - no mapping
    assert (first.captioned, second.captioned, second.already_captioned) == (4, 1, 4)
    assert total == 5
    assert in_copy(bucket, "captions.jsonl").count(b"\n") == 5
    assert first.copy["is_current"]
    for secret in (KEY, SECRET):
        assert all(secret.encode() not in bucket.get(name) for name in bucket.keys())  # noqa: SIM118


async def test_only_what_changed_is_copied(bucket: Bucket, films: Nights) -> None:
    written: list[str] = []

    def fault(key: str, _: int) -> str:
        written.append(key)
        return ""

    async with serving(StandinOptions()) as standin:
        await films.run(standin, **copied(bucket))
        bucket.proxy.fault = fault
        again = await films.run(standin, **copied(bucket))
    assert again.copy["is_current"]
    assert "night/run.json" in written
    assert "night/captions.jsonl" not in written


async def test_other_folders_copies_are_left_alone(
    bucket: Bucket, films: Nights, tmp_path: Path
) -> None:
    """Another folder's copy, one that went on elsewhere, and one that nobody owns are refused."""
    elsewhere = {"dir": tmp_path / "elsewhere", "copy_to": f"{bucket.url}/night"}
    alien = {"copy_to": f"{bucket.url}/alien"}
    bucket.put("alien/captions.jsonl", b"{}\n")
    async with serving(StandinOptions()) as standin:
        await films.run(standin)
        with pytest.raises(ConfigError, match="no run copied there: name another prefix"):
            await films.run(standin, output=alien)
        await films.run(standin, **copied(bucket))
        copytree(films.output.folder, tmp_path / "twin")
        await films.run(standin, output={"dir": tmp_path / "other"})
        with pytest.raises(ConfigError, match="copy of another output folder"):
            await films.run(
                standin, output={"dir": tmp_path / "other", "copy_to": f"{bucket.url}/night"}
            )
        await films.run(standin, output=elsewhere)
        before = standin.ledger.total
        with pytest.raises(ConfigError, match="another machine continued from that copy"):
            await films.run(standin, **copied(bucket))
        assert standin.ledger.total == before


async def test_check_and_dry_run_only_look_at_the_copy(
    bucket: Bucket, films: Nights, tmp_path: Path
) -> None:
    """They say what a run would do with it, or why it would not begin, and write nothing."""
    there = f"{bucket.url}/night"
    async with serving(StandinOptions()) as standin:

        async def found(copy_to: str = there, out: Path = films.output.folder) -> tuple[str, str]:
            job = films.job(standin, output={"copy_to": copy_to, "dir": out})
            (finding,) = await precondition_findings(job)
            if finding.level == "fail":
                assert finding.exit_code == 2
                with pytest.raises(ConfigError) as refused:
                    await rehearse(job)
                assert str(refused.value) == finding.text
            else:
                notes = (await rehearse(job)).notes
                assert bool(notes) == (finding.level == "warn"), notes
            return finding.level, finding.text

        assert await found() == ("ok", f"{there}: no copy is there yet; {UNTRIED}")
        assert not bucket.keys()
        await films.run(standin, **copied(bucket))
        keys = {key: bucket.get(key) for key in bucket.keys()}  # noqa: SIM118 - no mapping
        assert await found() == ("ok", f"{there}: the copy is the folder's own; {UNTRIED}")
        level, words = await found(out=tmp_path / "lost")
        assert (level, "so a run first restores it" in words) == ("warn", True)
        assert not (tmp_path / "lost").exists()
        await films.run(standin, output={"dir": tmp_path / "other"})
        level, words = await found(out=tmp_path / "other")
        assert level == "fail"
        assert words.startswith(f"output.copy_to: {there}: it holds the copy of another output ")
        level, words = await found("s3://there-is-none/night")
        assert (level, "is there such a bucket" in words) == ("warn", True)
        bucket.proxy.fault = lambda *_: "500"
        level, words = await found()
        assert (level, "cannot be reached now" in words) == ("warn", True)
    assert keys == {key: bucket.get(key) for key in bucket.keys()}  # noqa: SIM118 - no mapping


@pytest.mark.parametrize("fault", ["403", "500", "no bucket"])
async def test_what_cannot_be_copied_is_refused_before_anything_is_sent(
    bucket: Bucket, films: Nights, fault: str
) -> None:
    there = copied(bucket)
    if fault == "no bucket":
        there["output"]["copy_to"] = "s3://no-such-bucket/night"
    else:
        bucket.proxy.fault = lambda *_: fault
    async with serving(StandinOptions()) as standin:
        with pytest.raises(ConfigError, match=r"output\.copy_to: s3://") as refused:
            await films.run(standin, **there)
        assert standin.ledger.total == 0
    words = {
        "403": "do the credentials in use allow to read there?",
        "500": "is what it needs set: AWS_REGION",
        "no bucket": "the bucket does not exist",
    }
    assert words[fault] in str(refused.value)


@pytest.mark.parametrize("fault", ["500", "stall", "403"])
async def test_a_bucket_that_goes_away_costs_a_warning(
    bucket: Bucket, films: Nights, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The captions are there, run.json says what is not copied, and the next run copies it."""
    monkeypatch.setattr("captionfleet.storage.writing.TRY_S", 1.0)
    monkeypatch.setattr("captionfleet.storage.objects.PAUSES_S", (0.1,))
    async with serving(StandinOptions()) as standin:
        await films.run(standin, input={"limit": 1, "settle_s": 0}, **copied(bucket))
        held = in_copy(bucket, "captions.jsonl")
        # Where all is refused the run does not begin.
        is_hit = "captions" if fault == "403" else ""
        bucket.proxy.fault = lambda key, _: fault if is_hit in key else ""
        second = await films.run(standin, **copied(bucket))
        assert in_copy(bucket, "captions.jsonl") == held
        bucket.proxy.fault = lambda *_: ""
        third = await films.run(standin, **copied(bucket))

    assert (second.captioned, second.exit_code) == (3, 0)
    assert not second.copy["is_current"]
    assert "is not current" in second.text()
    assert "its copy is not current" in second.mail_line()
    assert third.copy["is_current"]
    assert (
        in_copy(bucket, "captions.jsonl") == (films.output.folder / "captions.jsonl").read_bytes()
    )


async def test_a_copy_that_is_removed_is_made_whole_again(bucket: Bucket, films: Nights) -> None:
    """Somebody empties the bucket between two runs."""
    async with serving(StandinOptions()) as standin:
        await films.run(standin, **copied(bucket))
        bucket.client.delete_object(Bucket=bucket.name, Key="night/.copy.json")
        bucket.client.delete_object(Bucket=bucket.name, Key="night/captions.jsonl")
        summary = await films.run(standin, **copied(bucket))
    assert summary.copy["is_current"]
    assert (
        in_copy(bucket, "captions.jsonl") == (films.output.folder / "captions.jsonl").read_bytes()
    )


async def test_killed_on_one_machine_goes_on_on_another(
    bucket: Bucket, library: Library, command: Command
) -> None:
    """Every copy that is ever there ends with a whole line, and costs only what it lacks."""
    videos = command.folder / "videos"
    videos.mkdir()
    for film in library.films[:10]:
        (videos / film.name).write_bytes(film.read_bytes())
    job = command.folder / "job.toml"
    where = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    async with serving(StandinOptions(slots=1, service_time_s=0.5)) as standin:
        job.write_text(
            f"""
[input]
settle_s = 0
[[deployments]]
base_url = "{standin.base_url}"
model = "omni"
api_key_env = ""
max_in_flight = 1
[output]
copy_to = "{bucket.url}/night"
copy_every_s = 1
"""
        )
        captionfleet = partial(command.started, variables=where)
        words = ("run", "videos", "--job", job, "--store", "store", "--out")
        async with captionfleet(*words, "one") as running:
            # It looks whether captions are there, and writes them twice: then there are some.
            await running.until(lambda: bucket.proxy.requests["night/captions.jsonl"] > 2)
            running.signal_group(signal.SIGKILL)
            with anyio.fail_after(60):
                await running.process.wait()
        held = lines_in_copy(bucket)
        before = standin.ledger.total
        async with captionfleet(*words, "two") as running:
            ended = await running.ended()

    assert ended.exit_code == 0, ended.stderr
    assert "is restored from its copy" in ended.stderr
    assert f"{10 - held:,} captioned" in ended.stdout
    assert standin.ledger.total - before == 10 - held
    assert lines_in_copy(bucket) == 10


def lines_in_copy(bucket: Bucket) -> int:
    if "night/captions.jsonl" not in bucket.keys():  # noqa: SIM118 - no mapping
        return 0
    body = in_copy(bucket, "captions.jsonl")
    assert not body or body.endswith(b"\n")
    return body.count(b"\n")


async def test_a_signal_still_brings_the_copy_up_to_date(
    bucket: Bucket, library: Library, command: Command
) -> None:
    videos = command.folder / "videos"
    videos.mkdir()
    for film in library.films[:6]:
        (videos / film.name).write_bytes(film.read_bytes())
    where = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    async with serving(StandinOptions(slots=1, service_time_s=0.5)) as standin:
        server = ("--base-url", standin.base_url, "--model", "omni", "--max-in-flight", "1")
        words = ("run", "videos", *server, "--out", "out", "--store", "store")
        to = ("--copy-to", f"{bucket.url}/night")
        async with command.started(*words, *to, variables=where) as running:
            await running.until(lambda: has_a_line(running, command.folder / "out"))
            running.send(signal.SIGTERM)
            ended = await running.ended()

    assert ended.exit_code == 143
    here = (command.folder / "out/captions.jsonl").read_bytes()
    assert here == in_copy(bucket, "captions.jsonl")
    assert orjson.loads(in_copy(bucket, "run.json"))["ended"] == "signal"
    assert f"copied to   {bucket.url}/night" in ended.stdout


def has_a_line(_: Running, out: Path) -> bool:
    path = out / "captions.jsonl"
    return path.exists() and path.stat().st_size > 0
