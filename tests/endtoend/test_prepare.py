"""The media step alone hurts no file of its user, and no clip by the name of another."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from captionfleet import JobConfig
from captionfleet.errors import OutputError
from captionfleet.prepare import prepare_job
from captionfleet.standin.options import StandinOptions
from captionfleet.standin.server import serving
from tests.support.command import Command, CommandHere
from tests.support.job_file import asking
from tests.support.output import Output
from tests.support.ready import ready_clip
from tests.support.tiny_films import Library


def test_any_name_is_prepared(
    own_films: Callable[[int], Path], library: Library, tmp_path: Path, here: CommandHere
) -> None:
    """A file with the longest name there is costs neither itself nor others."""
    videos = own_films(1)
    shutil.copy2(library.films[0], videos / f"{'é' * 125}n.mp4")
    words = ("prepare", "videos", "--store", str(library.store), "--quiet")
    for _ in range(2):
        assert here(*words, "--out", "prepared").exit_code == 0
        made = {path.suffix: path for path in (tmp_path / "prepared").glob("é*")}
        assert set(made) == {".mp4", ".json"}
        assert (tmp_path / "prepared/clip-00.mp4.mp4").exists()


@pytest.mark.anyio
async def test_a_store_that_is_filled_ahead_is_what_a_run_sends(
    library: Library, tmp_path: Path, command: Command, output: Output
) -> None:
    """Without --out, prepare only fills the store; the run then decodes nothing."""
    films = library.films[:2]
    store = ("--store", str(tmp_path / "store"))
    ended = await command("prepare", *films, *store, "--quiet")
    assert ended.stdout == f"captionfleet: 2 prepared, 0 failed, in {tmp_path / 'store'}\n"
    async with serving(StandinOptions()) as standin:
        words = (*asking(standin.base_url, tmp_path), "--out", "out")
        ended = await command("run", *films, *store, *words, "--quiet")
    assert ended.exit_code == 0
    assert output.run["latency"]["decode_s"] is None
    assert len(output.captions) == 2


def test_sources_are_not_written_over(own_films: Callable[[int], Path], here: CommandHere) -> None:
    """An output folder in a source folder is refused, before anything is written."""
    videos = own_films(2)
    shutil.copy2(videos / "clip-00.mp4", videos / "clip-01.mp4.mp4")
    before = {path.name: path.read_bytes() for path in videos.iterdir()}
    ended = here("prepare", "videos", "--out", "videos", "--quiet")
    assert ended.exit_code == 2
    assert "videos is inside the source videos" in ended.complaint
    assert {path.name: path.read_bytes() for path in videos.iterdir()} == before


def test_files_of_others_are_not_written_over(
    own_films: Callable[[int], Path], library: Library, tmp_path: Path, here: CommandHere
) -> None:
    """What the user keeps in the output folder under a name that is needed stays as it is."""
    own_films(1)
    kept = tmp_path / "prepared/clip-00.mp4.mp4"
    kept.parent.mkdir()
    kept.write_bytes(b"a film of the user")
    store = ("--store", str(library.store))
    ended = here("prepare", "videos", "--out", "prepared", *store, "--quiet")
    assert ended.exit_code == 3
    assert "clip-00.mp4.mp4 is there and was not written by prepare" in ended.complaint
    assert kept.read_bytes() == b"a film of the user"


@pytest.mark.parametrize("ending", [".json", ".mp4"])
@pytest.mark.parametrize("is_there", [True, False])
def test_links_in_the_output_folder_are_not_followed(
    ending: str,
    own_films: Callable[[int], Path],
    library: Library,
    tmp_path: Path,
    here: CommandHere,
    *,
    is_there: bool,
) -> None:
    """A link under a name that is needed writes over no file of the user's, and makes none."""
    own_films(1)
    base, secret = tmp_path / "prepared/clip-00.mp4", tmp_path / "secret"
    base.parent.mkdir()
    if is_there:
        secret.write_bytes(b"")
    if ending != ".json":
        base.with_name("clip-00.mp4.json").write_bytes(b'{"clip_id": ""}')
    base.with_name(f"clip-00.mp4{ending}").symlink_to(secret)
    here("prepare", "videos", "--out", "prepared", "--store", str(library.store), "--quiet")
    assert secret.exists() is is_there
    assert not is_there or secret.read_bytes() == b""


def test_linked_folders_in_the_output_folder_are_not_followed(
    own_films: Callable[[int], Path], library: Library, tmp_path: Path, here: CommandHere
) -> None:
    """A link in the place of a folder below --out leads no file elsewhere."""
    videos = own_films(1)
    (videos / "sub").mkdir()
    (videos / "clip-00.mp4").rename(videos / "sub" / "clip-00.mp4")
    elsewhere, out = tmp_path / "elsewhere", tmp_path / "prepared"
    elsewhere.mkdir()
    out.mkdir()
    (out / "sub").symlink_to(elsewhere)
    ended = here("prepare", "videos", "--out", "prepared", "--store", str(library.store), "--quiet")
    assert ended.exit_code == 3
    assert "sub is a link" in ended.complaint
    assert not list(elsewhere.iterdir())


@pytest.mark.anyio
async def test_media_that_cannot_be_read_fail_their_clip_alone(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prepared media in whose place something else stands are no trouble of the output folder."""

    async def work(*arguments: Any, cluster: None) -> None:
        assert cluster is None
        clips_in, ready_out, outcomes_out = arguments[-3:]
        async with clips_in, ready_out, outcomes_out:
            await clips_in.receive()
            ready = ready_clip(tmp_path)
            ready.video.unlink()
            ready.video.symlink_to("/etc/passwd")
            await ready_out.send(ready)

    monkeypatch.setattr("captionfleet.prepare.work", work)
    job = JobConfig.model_validate(
        {"input": {"sources": library.films[:1], "settle_s": 0}, "store": {"dir": library.store}}
    )
    with anyio.fail_after(60):
        summary = await prepare_job(job, tmp_path / "out")
    assert (summary.prepared, summary.failed) == (0, 1)
    (written,) = (path for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert b"source_unreadable" in written.read_bytes()


@pytest.mark.anyio
async def test_an_output_that_fails_while_workers_wait(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An output folder that cannot be written ends it as such, whatever other stages are about."""

    async def work(*arguments: Any, cluster: None) -> None:
        assert cluster is None
        clips_in, ready_out, outcomes_out = arguments[-3:]
        async with clips_in, ready_out, outcomes_out:
            await clips_in.receive()
            for _ in range(2):  # the second waits while the first is being written
                await ready_out.send(ready_clip(tmp_path))

    monkeypatch.setattr("captionfleet.prepare._AHEAD", 0)
    monkeypatch.setattr("captionfleet.prepare.work", work)
    (tmp_path / "file").touch()
    job = JobConfig.model_validate(
        {"input": {"sources": library.films[:1], "settle_s": 0}, "store": {"dir": library.store}}
    )
    with pytest.raises(OutputError), anyio.fail_after(60):
        await prepare_job(job, tmp_path / "file" / "out")
