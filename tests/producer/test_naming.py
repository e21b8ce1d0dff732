"""Whatever a file is called by, it is one clip: a thousand files, named in random mixes."""

import os
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from captionfleet.config import InputConfig, MediaConfig
from captionfleet.messages import Source
from captionfleet.producer.identity.clips import plan
from captionfleet.producer.walking.walk import Walk

# 1,000 files with 10 names among them, all of one size and time, so that only paths tell them.
FOLDERS = [f"lib/{one}/{two}" for one in range(10) for two in range(10)]
NAMES = [f"{name}.mp4" for name in range(10)]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("naming")
    for folder in FOLDERS:
        (root / folder).mkdir(parents=True)
        for name in NAMES:
            (root / folder / name).write_bytes(b"film")
            os.utime(root / folder / name, ns=(1, 1))
    (root / "links").mkdir()
    (root / "links" / "lib").symlink_to(root / "lib")
    for number in range(10):
        (root / "links" / f"film-{number}.mp4").symlink_to(f"../lib/{number}/3/{number}.mp4")
    return root


folders = st.sampled_from(["lib", *(f"lib/{number}" for number in range(10)), *FOLDERS])
files = st.builds("{}/{}".format, st.sampled_from(FOLDERS), st.sampled_from(NAMES))
linked = st.builds("links/film-{}.mp4".format, st.integers(0, 9))
plain = folders | files | linked
ways = st.sampled_from(
    ["{}", "./{}", "links/../{}", "lib/3/../../{}", "links/lib/../{}", "ROOT/{}"]
)
names = st.builds(str.format, ways, plain) | st.builds("links/{}".format, folders)
mixes = st.lists(names | st.lists(names, min_size=1, max_size=30), min_size=1, max_size=5)
"""The sources of a run: names, and lists of names."""


def given_sources(root: Path, mix: list[str | list[str]]) -> Iterator[Path]:
    """The sources, lists written, some relative to the working directory."""
    for number, name in enumerate(mix):
        if isinstance(name, str):
            yield Path(name.replace("ROOT", str(root)))
            continue
        listing = root / f"list-{number}.txt"
        listing.write_text("".join(f"{one.replace('ROOT', str(root))}\n" for one in name))
        yield listing


@settings(
    deadline=None,
    max_examples=15,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(st.lists(mixes, min_size=1, max_size=4), st.booleans())
def test_a_thousand_files_named_in_any_way(
    library: Path,
    nights: list[list[list[str | list[str]]]],
    follow_symlinks: bool,  # noqa: FBT001 - hypothesis gives it
) -> None:
    """Within a run no clip comes twice, and over all runs there are as many ids as files."""
    paths: dict[str, str] = {}
    with chdir(library):
        for mix in [*nights, ["lib"]]:
            sources = tuple(given_sources(library, mix))
            config = InputConfig(sources=sources, follow_symlinks=follow_symlinks)
            found = [one for one in Walk(config) if isinstance(one, Source)]
            clips = [clip for one in found for clip in plan(one, MediaConfig())]
            assert len({clip.clip_id for clip in clips}) == len(clips)
            for clip in clips:
                real = os.path.realpath(clip.source.path)
                assert paths.setdefault(clip.clip_id, real) == real == clip.source.known_path
    assert len(paths) == len(set(paths.values())) == 1000
