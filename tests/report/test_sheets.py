"""The gallery shows what was sent, and nothing else."""

import base64
import io
import shutil
from pathlib import Path
from typing import Any

import anyio
import av
import cv2
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from captionfleet.media.contact_sheet import grid_of
from captionfleet.report.sheets import SheetLimits, make_sheets
from captionfleet.report.write import write_report
from tests.report.conftest import FILMS, Finished
from tests.support.page import blocks_of

pytestmark = pytest.mark.anyio

GAP_PX = 2


def stored(line: dict[str, Any], store: Path, ending: str) -> Path:
    """Where a line's media are."""
    return (store / line["media_key"][:2] / line["media_key"]).with_suffix(ending)


async def blocks(finished: Finished, store: Path, **limits: Any) -> list[dict[str, Any]]:
    """What the page is told of the media of every captioned clip."""
    lines = list(enumerate(finished.output.captions))
    with anyio.fail_after(100):
        sheets = await make_sheets(lines, store, SheetLimits(**limits))
    return [blocks_of(sheets.blocks)[number] for number, _ in lines]


def frames_of(path: Path) -> list[np.ndarray[Any, Any]]:
    """The pictures in a file, in BGR."""
    with av.open(str(path)) as file:
        return [frame.to_ndarray(format="bgr24") for frame in file.decode(video=0)]


async def test_a_sheet_holds_the_frames_in_their_order(finished: Finished) -> None:
    """Every tile of the contact sheet is the frame of that number, as another decoder sees it."""
    for line, block in zip(
        finished.output.captions, await blocks(finished, finished.store), strict=True
    ):
        raw = np.frombuffer(base64.b64decode(block["sheet"]), np.uint8)
        sheet = cv2.imdecode(raw, cv2.IMREAD_COLOR)
        assert sheet is not None
        assert sheet.shape[:2] == (block["height"], block["width"])
        frames = frames_of(stored(line, finished.store, ".mp4"))
        grid = grid_of(len(frames), frames[0].shape[1], frames[0].shape[0])
        for number, frame in enumerate(frames):
            row, column = divmod(number, block["columns"])
            top, left = row * (grid.height + GAP_PX), column * (grid.width + GAP_PX)
            tile = sheet[top : top + grid.height, left : left + grid.width]
            wanted = cv2.resize(frame, (grid.width, grid.height), interpolation=cv2.INTER_AREA)
            assert np.abs(tile.astype(float) - wanted).mean() < 8
        assert len(block["times"]) == len(frames) == line["media"]["frames"]


async def test_the_sound_is_the_very_file(finished: Finished) -> None:
    """The player gets the bytes that were sent, and the waveform is as loud as they are."""
    with_sound = 0
    for line, block in zip(
        finished.output.captions, await blocks(finished, finished.store), strict=True
    ):
        sound = base64.b64decode(block["sound"])
        if not line["media"]["has_audio"]:
            assert (sound, block["peaks"]) == (b"", [])
            continue
        with_sound += 1
        assert sound == stored(line, finished.store, ".ogg").read_bytes()
        with av.open(io.BytesIO(sound)) as file:
            samples = np.concatenate(
                [frame.to_ndarray().ravel() for frame in file.decode(audio=0)]  # type: ignore[union-attr] # it is read
            )
        loudest = 100 * np.abs(samples.astype(float)).max()
        assert max(block["peaks"]) == pytest.approx(loudest, abs=12)
        assert len(block["peaks"]) == 240
    assert with_sound


async def test_media_that_changed_are_not_shown(finished: Finished, tmp_path: Path) -> None:
    """Media with another SHA-256 than the line's, evicted or linked, are said to be gone."""
    store = shutil.copytree(finished.store, tmp_path / "store")
    changed, gone, linked, *others = finished.output.captions
    with stored(changed, store, ".mp4").open("r+b") as file:
        file.write(b"\x01")
    stored(gone, store, ".mp4").unlink()
    own = stored(linked, store, ".mp4")
    own.symlink_to(own.rename(tmp_path / "moved.mp4"))

    found = await blocks(finished, store)

    said = {"missing": "the media are no longer in the store"}
    assert found[:3] == [said] * 3
    assert len([block for block in found if "sheet" in block]) == len(others) == FILMS - 3


async def test_pictures_and_sound_have_a_bound(finished: Finished) -> None:
    """Past the bound clips are left out and say so; sound goes before pictures do."""
    assert {
        block.get("missing") for block in await blocks(finished, finished.store, max_bytes=0)
    } == {"left out to keep this page small"}
    silent = await blocks(finished, finished.store, sound_share=0.0)
    assert all(block["sheet"] and not block["sound"] for block in silent)


async def test_a_worker_that_hangs_or_dies_costs_one_clip(finished: Finished) -> None:
    """A clip whose pictures cannot be made in time, or in memory, says so; the page is made."""
    assert {tuple(block) for block in await blocks(finished, finished.store, each_s=0.0)} == {
        ("missing",)
    }
    starved = await blocks(finished, finished.store, memory_bytes=2**24)
    assert {tuple(block) for block in starved} == {("missing",)}


async def test_the_report_of_a_run_shows_all_of_it(finished: Finished, tmp_path: Path) -> None:
    """Every captioned clip has its pictures, and the failed one its code."""
    with anyio.fail_after(100):
        made = await write_report(finished.output.folder, out=tmp_path / "page.html")

    assert (made.clips, made.shown, made.with_pictures) == (FILMS + 1, FILMS + 1, FILMS)
    assert "not_video" in await anyio.Path(made.path).read_text()


@example(371, 2, 735)  # strips
@given(st.integers(1, 700), st.integers(2, 4096), st.integers(2, 4096))
def test_every_frame_has_its_place(frames: int, width_px: int, height_px: int) -> None:
    """A grid has a cell for every frame, no empty row, and bounded size."""
    grid = grid_of(frames, width_px, height_px)

    assert grid.rows * grid.columns >= frames > (grid.rows - 1) * grid.columns
    assert (grid.width % 2, grid.height % 2) == (0, 0)
    assert grid.sheet_size[0] <= 1300
    assert grid.sheet_size[1] <= 450
