"""Texts and subtitles: one name for each caption, and no file under a former name."""

from dataclasses import replace
from pathlib import Path

import pytest

from captionfleet.config import CaptionConfig, ExportConfig
from captionfleet.export.export import export_lines
from captionfleet.messages import Row, Source
from tests.support.library import film, line, window_line, write_lines


def export(folder: Path, to: str = "txt", **keys: object) -> str:
    """What an export says that it did."""
    return str(
        export_lines(folder, ExportConfig.model_validate({"to": to, **keys}), CaptionConfig())
    )


def texts(root: Path, ending: str = ".txt") -> dict[str, str]:
    """The text files below a folder, without the line's end."""
    return {path.name: path.read_text().rstrip("\n") for path in sorted(root.rglob(f"*{ending}"))}


def asked(one: Source, prompt: str, caption: str, row_id: str = "") -> bytes:
    """The line of a row with a prompt of its own."""
    return line(replace(one, row=Row(1, id=row_id, prompt=prompt)), caption)


@pytest.fixture
def beach(tmp_path: Path) -> Source:
    return film(tmp_path / "videos", "beach.mp4")


def test_rows_with_prompts_of_their_own_have_texts_of_their_own(
    tmp_path: Path, beach: Source
) -> None:
    """Two captions of one window are two files, by the row's id, also after each is renewed."""
    who, where = asked(beach, "Who?", "Ada.", "a/1"), asked(beach, "Where?", "Here.", "b 2")
    folder = write_lines(tmp_path / "out", [who, where])
    assert "2 files written" in export(folder)
    expected = {"beach.txt": "Ada.", "beach.b_2.txt": "Here."}
    assert texts(tmp_path / "videos") == expected
    assert "2 files as they were" in export(folder)
    write_lines(folder, [who, where, asked(beach, "Who?", "Bob.", "a/1")])
    export(folder)
    assert texts(tmp_path / "videos") == expected | {"beach.txt": "Bob."}
    write_lines(folder, [where])
    said = export(folder)
    assert "1 files removed, as their captions have other names now" in said
    assert texts(tmp_path / "videos") == {"beach.txt": "Here."}


def test_an_edited_prompt_leaves_the_earlier_text(tmp_path: Path, beach: Source) -> None:
    """The new caption is beside it, under the row's id or, if that is taken or none, the clip's."""
    old = asked(beach, "Who?", "Ada.", "7")
    folder = write_lines(tmp_path / "out", [old])
    export(folder)
    newer = [asked(beach, f"Who {n}?", f"{n}", "7") for n in (1, 2)]
    write_lines(folder, [old, *newer, asked(beach, "Where?", "3")])
    for _ in range(2):
        export(folder)
        made = texts(tmp_path / "videos")
        assert {made.pop("beach.txt"), made.pop("beach.7.txt")} == {"Ada.", "1"}
        assert sorted(made.values()) == ["2", "3"]
        assert {len(name) for name in made} == {len("beach.12345678.txt")}


def test_windows_and_prompts(tmp_path: Path, beach: Source) -> None:
    """Windows keep the names of their seconds; only a second caption of one gets a word more."""
    lines = [
        window_line(beach, 0.0, 60.0, "1"), window_line(beach, 60.0, 120.0, "2"),
        asked(beach, "Who?", "3", "x"),
    ]  # fmt: skip
    export(write_lines(tmp_path / "out", lines))
    assert texts(tmp_path / "videos") == {
        "beach.00000s-00060s.txt": "1",
        "beach.00060s-00120s.txt": "2",
        "beach.00000s-00060s.x.txt": "3",
    }


def test_names_that_look_alike(tmp_path: Path) -> None:
    """A name that a longer film name would take is not written over, in either order."""
    names = ("beach.mp4", "beach.mov", "beach.mov.mp4", "beach.mov.mov")
    films = [film(tmp_path / "videos", name) for name in names]
    folder = write_lines(tmp_path / "out", [line(one, one.name) for one in films])
    assert "4 files written" in export(folder)
    made = texts(tmp_path / "videos")
    assert sorted(made.values()) == sorted(names)
    assert made["beach.txt"] == "beach.mp4"
    assert made["beach.mov.txt"] == "beach.mov"
    assert "4 files as they were" in export(folder)


@pytest.mark.parametrize("is_edited", [False, True])
def test_a_former_name_goes(tmp_path: Path, beach: Source, is_edited: bool) -> None:  # noqa: FBT001 - a case
    """A text that was written before the film had more windows goes, unless it was edited."""
    first = window_line(beach, 0.0, 60.0, "First.")
    folder = write_lines(tmp_path / "out", [first])
    export(folder)
    export(folder, extension=".caption")
    if is_edited:
        (tmp_path / "videos/beach.txt").write_text("mine")
    write_lines(folder, [first, window_line(beach, 60.0, 120.0, "Then.")])
    export(folder)
    windows = {"beach.00000s-00060s.txt": "First.", "beach.00060s-00120s.txt": "Then."}
    assert texts(tmp_path / "videos") == windows | ({"beach.txt": "mine"} if is_edited else {})
    assert texts(tmp_path / "videos", ".caption") == {"beach.caption": "First."}
    write_lines(folder, [first])
    export(folder)
    assert texts(tmp_path / "videos") == {"beach.txt": "mine" if is_edited else "First."}


def test_subtitles_leave_a_former_name(tmp_path: Path) -> None:
    """The film whose namesake is gone gets the short name, and the long one goes."""
    films = [film(tmp_path / "videos", name) for name in ("beach.mp4", "beach.mov")]
    lines = [line(one, one.name) for one in films]
    folder = write_lines(tmp_path / "out", lines)
    export(folder, "srt")
    first = texts(tmp_path / "videos", ".srt")
    assert len(first) == 2
    (held,) = [name for name in first if name != "beach.srt"]
    (tmp_path / "videos" / ("beach.mp4" if "mov" in held else "beach.mov")).unlink()
    for _ in range(2):
        export(folder, "srt")
    assert texts(tmp_path / "videos", ".srt") == {"beach.srt": first[held]}


def test_the_same_words_of_a_changed_film_stay(tmp_path: Path, beach: Source) -> None:
    """A text that also is the new caption's is not removed with the old one's film."""
    old = line(beach, "Words.")
    folder = write_lines(tmp_path / "out", [old])
    export(folder)
    write_lines(folder, [old, line(film(tmp_path / "videos", "beach.mp4", b"another"), "Words.")])
    assert "1 files as they were" in export(folder)
    assert texts(tmp_path / "videos") == {"beach.txt": "Words."}


def test_all_lines_have_a_text_each(tmp_path: Path, beach: Source) -> None:
    """With --all, the current caption has the plain name, and one of an earlier film another."""
    old = line(beach, "Old.")
    new = line(film(tmp_path / "videos", "beach.mp4", b"another"), "New.")
    folder = write_lines(tmp_path / "out", [old, new])
    for _ in range(2):
        export(folder, all=True)
        made = texts(tmp_path / "videos")
        assert made.pop("beach.txt") == "New."
        assert [*made.values()] == ["Old."]
    export(folder)
    assert texts(tmp_path / "videos") == {"beach.txt": "New."}
