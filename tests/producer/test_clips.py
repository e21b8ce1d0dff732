"""Clips and their ids."""

import os

from hypothesis import given
from hypothesis import strategies as st

from captionfleet.config import MediaConfig
from captionfleet.messages import Source
from captionfleet.producer.identity.clips import clip_id, named_clip_id, plan

identities = st.tuples(
    st.binary(max_size=8),
    st.integers(0, 2**64),
    st.integers(-(2**70), 2**70),
    st.sampled_from([0.0, 0.5, 60.0]),
    st.sampled_from([60.0, 120.0]),
)


def test_a_source_gives_one_clip_from_its_start() -> None:
    """A source gives one window from 0 s to max_seconds."""
    source = Source("/v/../v/a.mp4", "a.mp4", 7, 8, "/v", "/v/a.mp4")

    clips = plan(source, MediaConfig(max_seconds=20))

    expected = clip_id(b"/v/a.mp4", 7, 8, 0.0, 20.0)
    assert [(expected, source, 0.0, 20.0)] == [
        (clip.clip_id, clip.source, clip.start_s, clip.end_s) for clip in clips
    ]


def test_the_id_is_stable() -> None:
    """A clip's id is the same in every release: resuming depends on it."""
    version = 1000, 1_700_000_000_000_000_000, 0.0, 60.0

    assert clip_id(b"/holiday/beach.mp4", *version) == "afff89d0cd3109290c369849f174cf2e"
    assert named_clip_id(b"holiday/beach.mp4", *version) == "2cda7fdedac033fdd781dc1bbb86c412"


def test_the_id_ignores_how_a_file_was_named() -> None:
    """A file has one id, whatever source and links it was found by."""
    names = (("/v/a.mp4", "a.mp4"), ("/v/../v/a.mp4", "../v/a.mp4"), ("/link", "link"))
    sources = [Source(path, name, 7, 8, "/", "/v/a.mp4") for path, name in names]

    assert len({plan(source, MediaConfig())[0].clip_id for source in sources}) == 1


@given(identities, identities)
def test_different_clips_have_different_ids(
    one: tuple[bytes, int, int, float, float], other: tuple[bytes, int, int, float, float]
) -> None:
    """Two ids are equal exactly when path, size, time and window are."""
    assert (one == other) == (clip_id(*one) == clip_id(*other))


def test_a_name_that_is_not_utf8_has_an_id() -> None:
    """A name with undecodable bytes is told from the name with other bytes in their place."""
    names = [os.fsdecode(raw) for raw in (b"\xff.mp4", b"\xfe.mp4", b"?.mp4")]

    ids = {plan(Source(name, "x", 1, 1), MediaConfig())[0].clip_id for name in names}

    assert len(ids) == 3
