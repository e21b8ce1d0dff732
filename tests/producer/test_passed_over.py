"""Which names are taken."""

import fnmatch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from captionfleet.config import InputConfig
from captionfleet.producer.walking.passed_over import Patterns, Selection

names = st.text(alphabet="aB.4mp\n*[é\udcff", max_size=8)
patterns = st.text(alphabet="aB.4mp*?[]!\n", max_size=6)


@given(st.lists(patterns, max_size=4), names)
def test_patterns_are_the_shells(several: list[str], name: str) -> None:
    """A name matches if one of the shell patterns does, case ignored."""
    expected = any(fnmatch.fnmatchcase(name.lower(), pattern.lower()) for pattern in several)

    assert Patterns.of(several).match(name) == expected


@pytest.mark.parametrize(
    ("relative", "reason"),
    [
        ("a.mp4", None),
        ("A.MOV", None),
        ("deep/er/a.webm", None),
        (".a.mp4", "hidden"),
        ("a.mp4.part", "partial"),
        ("a.mp4.CRDOWNLOAD", "partial"),
        ("a.txt", "not_video"),
        ("mp4", "not_video"),
        ("draft.mp4", "excluded"),
        ("cut/x/a.mp4", "excluded"),
        ("uncut/a.mp4", None),
    ],
)
def test_every_reason_to_leave_a_file_out(relative: str, reason: str | None) -> None:
    """Hidden, partial, excluded and other names are told apart, in this order."""
    selection = Selection.of(InputConfig(exclude=("DRAFT*", "cut/*")))

    assert selection.file_reason(relative.rsplit("/", 1)[-1], relative) == reason


def test_a_folder_can_be_excluded() -> None:
    """A folder is left out with all that it holds, by its name or its relative path."""
    selection = Selection.of(InputConfig(exclude=("proxies", "a/b")))

    assert selection.reaches("", "x/y")
    assert not selection.reaches("", "x/proxies/y")
    assert not selection.reaches("a", "b/c")
    assert not selection.reaches("", "x/.git")
