"""What earlier runs settled."""

from codecs import BOM_UTF8
from dataclasses import replace
from pathlib import Path

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from captionfleet.errors import FailureCode, OutputError
from captionfleet.ledger.format.serialising import caption_line
from captionfleet.ledger.settled import Settled, load_settled
from tests.support.mixed_lines import AT
from tests.support.outcomes import make_caption, make_clip

pytestmark = pytest.mark.anyio


def caption(number: int) -> bytes:
    """A line as the sink writes it."""
    return orjson.dumps({"clip_id": f"{number:032x}", "caption": "x"}) + b"\n"


def failure(number: int, code: str) -> bytes:
    """A line as the sink writes it."""
    return orjson.dumps({"clip_id": f"{number:032x}", "code": code}) + b"\n"


async def load(folder: Path, captions: bytes = b"", failures: bytes = b"") -> Settled:
    """Write the two files and read them back."""
    (folder / "captions.jsonl").write_bytes(captions)
    (folder / "failures.jsonl").write_bytes(failures)
    return await load_settled(folder)


async def test_nothing_is_settled_in_a_new_folder(tmp_path: Path) -> None:
    """A folder that does not exist yet has nothing settled."""
    settled = await load_settled(tmp_path / "new")

    assert not settled.captioned(f"{1:032x}")
    assert settled.standing(f"{1:032x}") is None


async def test_captions_settle_for_ever(tmp_path: Path) -> None:
    """Exactly the clips with a line are captioned."""
    settled = await load(tmp_path, caption(1) + caption(0) + caption(2**128 - 1))

    answers = [settled.captioned(f"{number:032x}") for number in (0, 1, 2, 2**128 - 1)]
    assert answers == [True, True, False, True]
    assert settled.ignored_lines == 0


async def test_only_permanent_failures_stand(tmp_path: Path) -> None:
    """The latest failure of a clip counts, and only if it speaks of the file's content."""
    lines = [(1, "no_frames"), (2, "timeout"), (3, "no_frames"), (3, "timeout"), (4, "from_later")]
    settled = await load(tmp_path, failures=b"".join(failure(*line) for line in lines))

    standing = [settled.standing(f"{number:032x}") for number in range(5)]
    assert standing == [None, FailureCode.NO_FRAMES, None, None, None]


async def test_lines_of_another_hand_are_read(tmp_path: Path) -> None:
    """A file that somebody reformatted or edited still tells what it can."""
    lines = [
        BOM_UTF8 + b'{"caption": "x", "clip_id": "%032x"}\r\n' % 1,
        b" \r\n",
        b'  {"clip_id" : "%032X"}\n' % 0xAB,
        b'{"clip_id":"%032x", "caption": "x"}\n' % 3,
        caption(4).rstrip(),
    ]
    settled = await load(tmp_path, b"".join(lines))

    assert all(settled.captioned(f"{number:032x}") for number in (1, 0xAB, 3, 4))
    assert settled.ignored_lines == 0


async def test_lines_as_they_are_written_are_read(tmp_path: Path) -> None:
    """With and without a known request, with and without a second id."""
    alias = f"{0xA1:032x}"
    clips = [make_clip(1), make_clip(2), replace(make_clip(3), stat_id=alias)]
    prints = ["", "f" * 16, "f" * 16]
    written = [caption_line(make_caption(c), AT, p) for c, p in zip(clips, prints, strict=True)]

    settled = await load(tmp_path, b"".join(written))

    assert all(settled.captioned(one) for one in (*(clip.clip_id for clip in clips), alias))
    assert settled.fingerprints == {"": {"f" * 16}}
    assert (settled.ignored_lines, settled.repeated_lines) == (0, 0)


hostile_lines = st.one_of(
    st.binary(max_size=80),
    st.sampled_from(
        [
            b"",
            b"null",
            b"[1]",
            b'{"clip_id": 7}',
            b'{"clip_id": "7"}',
            b'{"clip_id": null}',
            b'{"clip_id":"' + b"z" * 32 + b'","caption":"x"}',
            b'{"clip_id":"' + b"\xff" * 32 + b'","caption":"x"}',
            b'{"clip_id":"\\u00e9' + b"1" * 31 + b'"}',
            b'{"code": ["no_frames"], "clip_id": "' + b"1" * 32 + b'"}',
            b"[" * 5000,
        ]
    ),
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(hostile_lines, max_size=6))
async def test_hostile_lines_are_ignored(tmp_path: Path, lines: list[bytes]) -> None:
    """No line, however wrong, ends the reading or hides its neighbours."""
    content = caption(1) + b"".join(line + b"\n" for line in lines) + caption(2)

    settled = await load(tmp_path, content, content)

    assert settled.captioned(f"{1:032x}")
    assert settled.captioned(f"{2:032x}")


async def test_lines_that_settle_nothing_are_counted(tmp_path: Path) -> None:
    """Whoever damaged captions.jsonl can be told: its clips will be paid for again."""
    lines = [b"no JSON\n", caption(1), b"[]\n", b"\n", b'{"clip_id":"12"}\n']
    settled = await load(tmp_path, b"".join(lines))

    assert settled.ignored_lines == 3


async def test_a_file_that_cannot_be_read_ends_the_run(tmp_path: Path) -> None:
    """Paying for everything again because of a read error is out of the question."""
    (tmp_path / "captions.jsonl").mkdir()

    with pytest.raises(OutputError, match=r"captions\.jsonl"):
        await load_settled(tmp_path)


async def test_which_failure_lines_stay(tmp_path: Path) -> None:
    """A complete run keeps the standing failures it met, another all but the captioned."""
    settled = await load(tmp_path, caption(1), failure(1, "timeout") + failure(2, "no_frames"))
    settled.meet(f"{2:032x}")

    complete, stopped = (
        [settled.keeps_failure(f"{number:032x}", is_complete=is_complete) for number in (1, 2, 3)]
        for is_complete in (True, False)
    )
    assert complete == [False, True, False]
    assert stopped == [False, True, True]
