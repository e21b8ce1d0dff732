"""What happens to the copy of an output folder that cannot be read, is moved, or loses lines."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from captionfleet.config import OutputConfig
from captionfleet.errors import ConfigError, OutputError
from captionfleet.ledger.copying.copying import FolderCopy
from captionfleet.ledger.copying.opening import copy_again, open_copy
from captionfleet.standin.options import StandinOptions
from captionfleet.standin.server import serving
from tests.buckets.conftest import Bucket
from tests.support.nights import Nights
from tests.support.tiny_films import Library

pytestmark = pytest.mark.anyio

CAPTIONS, FAILURES = b'{"clip_id": "1"}\n{"clip_id": "2"}\n', b'{"clip_id": "3"}\n'
FILES = {
    "requests.json": b"{}\n",
    "captions.jsonl": CAPTIONS,
    "failures.jsonl": FAILURES,
    "run.json": b"{}\n",
    "report.html": b"<p>\n",
    "runs/a.json": b"{}\n",
}


@pytest.fixture
def output(bucket: Bucket, tmp_path: Path) -> OutputConfig:
    """An output folder with FILES, and a copy that is empty yet."""
    folder = tmp_path / "out"
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return OutputConfig(dir=folder, copy_to=f"{bucket.url}/night")


async def begun(output: OutputConfig) -> FolderCopy:
    """The copy, as a run begins it and renews it once."""
    copy = await open_copy(output)
    assert copy is not None
    await copy.renew()
    assert not copy.problem
    return copy


def objects(bucket: Bucket) -> dict[str, bytes]:
    """The files in the copy."""
    names = {key.removeprefix("night/") for key in bucket.keys()}  # noqa: SIM118 - no mapping
    return {name: bucket.get(f"night/{name}") for name in names - {".copy.json"}}


def record(bucket: Bucket) -> dict[str, int]:
    """The sizes of the files that the copy's record names."""
    files: dict[str, int] = orjson.loads(bucket.get("night/.copy.json"))["files"]
    return files


def move(out: Path) -> None:
    out.rename(out.with_name("moved"))


def replace(out: Path) -> None:
    """As when a disk is unmounted, and the run then writes how it ended."""
    move(out)
    (out / "runs").mkdir(parents=True)
    (out / "run.json").write_bytes(b"{}\n\n")


def put_file(out: Path) -> None:
    move(out)
    out.write_bytes(b"")


def empty(out: Path) -> None:
    shutil.rmtree(out)
    out.mkdir()


def lose_captions(out: Path) -> None:
    (out / "captions.jsonl").unlink()
    (out / "report.html").unlink()


def empty_captions(out: Path) -> None:
    (out / "captions.jsonl").write_bytes(b"")
    (out / "report.html").unlink()


@pytest.mark.parametrize("hurt", [move, replace, put_file, empty, lose_captions, empty_captions])
async def test_a_folder_that_is_lost_during_a_run_keeps_its_copy(
    bucket: Bucket, output: OutputConfig, hurt: Callable[[Path], None]
) -> None:
    copy = await begun(output)
    hurt(output.dir)
    await copy.renew()
    await copy.renew()
    assert objects(bucket) == FILES
    assert copy.problem
    assert record(bucket) == {name: len(content) for name, content in FILES.items()}


async def test_a_folder_that_comes_back_is_copied_again(
    bucket: Bucket, output: OutputConfig
) -> None:
    copy = await begun(output)
    replace(output.dir)
    await copy.renew()
    shutil.rmtree(output.dir)
    output.dir.with_name("moved").rename(output.dir)
    (output.dir / "captions.jsonl").write_bytes(CAPTIONS * 2)
    await copy.renew()
    assert not copy.problem
    assert objects(bucket) == FILES | {"captions.jsonl": CAPTIONS * 2}


async def test_a_file_that_cannot_be_read_for_now_stays_in_the_copy(
    bucket: Bucket, output: OutputConfig
) -> None:
    """The others are copied meanwhile."""
    copy = await begun(output)
    report, aside = output.dir / "report.html", output.dir / "aside"
    report.rename(aside)
    report.symlink_to(report.name)
    (output.dir / "run.json").write_bytes(b"{ }\n")
    await copy.renew()
    assert copy.problem.startswith("report.html cannot be read: ")
    assert objects(bucket) == FILES | {"run.json": b"{ }\n"}
    report.unlink()
    aside.rename(report)
    await copy.renew()
    assert not copy.problem
    assert "report.html" in record(bucket)


async def test_a_file_that_was_removed_and_comes_back_unchanged_is_copied_again(
    bucket: Bucket, output: OutputConfig
) -> None:
    copy = await begun(output)
    report, aside = output.dir / "report.html", output.dir / "aside"
    report.rename(aside)
    await copy.renew()
    assert not copy.problem
    assert "report.html" not in objects(bucket)
    aside.rename(report)
    await copy.renew()
    assert objects(bucket) == FILES


@pytest.mark.parametrize("is_missing", [True, False])
async def test_captions_alone_that_were_lost_are_restored(
    bucket: Bucket, output: OutputConfig, *, is_missing: bool
) -> None:
    """The other lines of the folder stay as they are."""
    await begun(output)
    captions, failures = output.dir / "captions.jsonl", output.dir / "failures.jsonl"
    captions.unlink() if is_missing else os.truncate(captions, 0)
    (output.dir / "requests.json").unlink()
    failures.write_bytes(FAILURES * 2)
    await begun(output)
    assert captions.read_bytes() == CAPTIONS
    assert failures.read_bytes() == FAILURES * 2
    assert objects(bucket) == FILES | {"failures.jsonl": FAILURES * 2}


async def test_captions_that_were_rotated_away_are_newer_than_the_copys(
    output: OutputConfig,
) -> None:
    await begun(output)
    captions = output.dir / "captions.jsonl"
    captions.rename(output.dir / "captions.jsonl.1")
    with pytest.raises(OutputError, match=r"captions\.jsonl\.1 is beside it: put that back"):
        await open_copy(output)
    assert not captions.exists()


async def test_a_copy_whose_record_could_not_be_written_is_recorded_later(
    bucket: Bucket, output: OutputConfig
) -> None:
    copy = await open_copy(output)
    assert copy is not None
    seen = bucket.proxy.requests
    bucket.proxy.fault = lambda key, _: (
        "403" if key == "night/.copy.json" and seen["night/failures.jsonl"] else ""
    )
    await copy.renew()
    assert copy.problem
    bucket.proxy.fault = lambda *_: ""
    await copy.renew()
    assert not copy.problem
    assert record(bucket) == {name: len(content) for name, content in FILES.items()}


async def test_a_restored_folders_own_files_are_copied(
    bucket: Bucket, output: OutputConfig
) -> None:
    (output.dir / "report.html").unlink()
    await begun(output)
    empty(output.dir)
    (output.dir / "report.html").write_bytes(FILES["report.html"])
    await begun(output)
    assert objects(bucket) == FILES
    assert {name: (output.dir / name).read_bytes() for name in FILES} == FILES


async def test_after_a_run_nothing_is_restored(bucket: Bucket, output: OutputConfig) -> None:
    await begun(output)
    empty(output.dir)
    assert "the next run restores it" in await copy_again(output)
    assert not (output.dir / "captions.jsonl").exists()
    assert objects(bucket) == FILES


async def test_a_killed_runs_mark_outlasts_the_copy(bucket: Bucket, output: OutputConfig) -> None:
    """A run that is refused by its bucket, and what is copied after a run, do not remove it."""
    mark = output.dir / ".lock-holder.json"
    mark.write_bytes(b'{"pid":7,"host":"h","since_utc":"2026-11-25T00:00:00.000Z"}')
    left = mark.read_bytes()
    bucket.proxy.fault = lambda *_: "403"
    with pytest.raises(ConfigError):
        await open_copy(output)
    assert mark.read_bytes() == left
    bucket.proxy.fault = lambda *_: ""
    assert not await copy_again(output)
    assert mark.read_bytes() == left


async def test_captions_made_while_a_restore_was_pending_are_not_replaced(
    bucket: Bucket, output: OutputConfig
) -> None:
    """The restore breaks off; a run without the copy pays; then the copy is asked for again."""
    await begun(output)
    empty(output.dir)
    seen = bucket.proxy.requests
    before = seen["night/run.json"]
    bucket.proxy.fault = lambda key, _: (
        "403" if key == "night/captions.jsonl" and seen["night/run.json"] > before else ""
    )
    with pytest.raises(ConfigError, match=r"captions\.jsonl: access denied"):
        await open_copy(output)
    bucket.proxy.fault = lambda *_: ""
    (output.dir / "captions.jsonl").write_bytes(CAPTIONS * 3)
    with pytest.raises(ConfigError, match="its restore was interrupted"):
        await open_copy(output)
    assert (output.dir / "captions.jsonl").read_bytes() == CAPTIONS * 3
    assert objects(bucket) == FILES


async def test_a_run_pays_nothing_again_for_captions_that_were_lost_alone(
    bucket: Bucket, nights: Nights, library: Library
) -> None:
    nights.videos.mkdir()
    (nights.videos / "whole.mp4").write_bytes(library.films[0].read_bytes())
    (nights.videos / "broken.mp4").write_bytes(b"no film")
    where = {"output": {"copy_to": f"{bucket.url}/night"}}
    async with serving(StandinOptions()) as standin:
        await nights.run(standin, **where)
        held = bucket.get("night/captions.jsonl")
        assert nights.output.failures
        (nights.output.folder / "captions.jsonl").unlink()
        again = await nights.run(standin, **where)
        assert standin.ledger.total == 1
    assert again.already_captioned == 1
    assert again.copy["is_current"]
    assert bucket.get("night/captions.jsonl") == held
