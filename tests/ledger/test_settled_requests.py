"""What earlier runs settled of several requests, each for itself."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from captionfleet.errors import ConfigError, FailureCode
from captionfleet.ledger.captioned import captioned_in
from captionfleet.ledger.format.serialising import caption_line, failure_line
from captionfleet.ledger.renaming import names_there, renamed_lines, require_named
from captionfleet.ledger.settled import Settled, load_settled
from tests.support.mixed_lines import AT
from tests.support.outcomes import make_caption, make_clip, make_failure

pytestmark = pytest.mark.anyio

A, B = "a" * 16, "b" * 16
ONE, TWO = (f"{number:032x}" for number in (1, 2))


def line(clip: int, request: str = "", made_by: str = A, **changes: Any) -> bytes:
    """A captions line as the sink writes it."""
    caption = replace(make_caption(make_clip(clip)), request=request, **changes)
    return caption_line(caption, AT, made_by)


async def load(folder: Path, *captions: bytes, failures: bytes = b"") -> Settled:
    """Write the files and read them back."""
    (folder / "captions.jsonl").write_bytes(b"".join(captions))
    (folder / "failures.jsonl").write_bytes(failures)
    return await load_settled(folder)


names = st.sampled_from(["", "short", "Tags-2", "a" * 40])


@given(names, st.sampled_from(["", A, f"{A}-{B}"]), st.booleans())
def test_every_form_of_a_line_says_its_request(name: str, made_by: str, has_alias: bool) -> None:  # noqa: FBT001 - a table
    """As it is written, and after another hand has put its keys in another order."""
    clip = replace(make_clip(1), stat_id=TWO if has_alias else "")
    written = caption_line(replace(make_caption(clip), request=name), AT, made_by)
    record = orjson.loads(written)
    moved = {**{key: record[key] for key in record if key != "request"}, "request": name}

    expected = (1, 2 if has_alias else None, made_by[:16], name)
    for form in (
        written,
        orjson.dumps(moved) + b"\n",
        orjson.dumps(dict(reversed(record.items()))),
    ):
        assert captioned_in(form) == expected


async def test_each_request_is_settled_for_itself(tmp_path: Path) -> None:
    """A later line of one request neither settles nor forgets another's."""
    settled = await load(tmp_path, line(1, "short", A), line(1, "tags", B), line(2, "tags", A))

    assert [settled.captioned(ONE, name) for name in ("short", "tags", "")] == [True, True, False]
    assert (settled.captioned(TWO, "short"), settled.repeated_lines) == (False, 0)
    settled.accept({"short": frozenset({A}), "tags": frozenset({B})})
    assert (settled.captioned(TWO, "tags"), settled.is_replaced(TWO, "tags")) == (False, True)
    assert settled.captioned(ONE, "short")


async def test_failures_stand_by_request(tmp_path: Path) -> None:
    """What one request failed with for good says nothing of another."""
    failed = [
        failure_line(replace(make_failure(make_clip(clip), code), request=name), AT)
        for clip, name, code in [
            (1, "short", FailureCode.NO_FRAMES),
            (1, "tags", FailureCode.TIMEOUT),
            (2, "", FailureCode.NO_FRAMES),
        ]
    ]
    settled = await load(tmp_path, line(1), failures=b"".join(failed))

    assert settled.standing(ONE, "short") is FailureCode.NO_FRAMES
    assert settled.standing(ONE, "tags") is settled.standing(TWO, "short") is None
    assert settled.failed_before(ONE, "tags")
    settled.leave({"tags"})
    settled.meet(ONE, "short")
    kept = [(one, name) for one in (ONE, TWO) for name in ("short", "tags", "")
            if settled.keeps_failure(one, name, is_complete=True)]  # fmt: skip
    assert kept == [(ONE, "short"), (ONE, "tags"), (TWO, "tags")]


async def test_a_request_with_another_name_keeps_its_captions(tmp_path: Path) -> None:
    """What no job calls so any more, and what is asked alike today, goes by today's name."""
    lines = [line(1, "", A), line(2, "old", B), line(2, "kept", A)]
    settled = await load(tmp_path, *lines)
    own = {"long": {A}, "new": {B}, "kept": {A}}

    renames = settled.rename(own, own)
    assert renames == {("", A): "long", ("old", B): "new"}
    assert settled.captioned(ONE, "long")
    assert settled.captioned(TWO, "new")
    after = [orjson.loads(one) for one in renamed_lines(lines, renames)]
    assert [one["request"] for one in after] == ["long", "new", "kept"]
    assert [*after[0]] == [*orjson.loads(lines[0])]
    there = names_there(settled.fingerprints, {"": frozenset({A}), "x": frozenset()}, own, renames)
    assert there == {"long": {A}, "new": {B}, "kept": {A}}


async def test_requests_that_ask_the_same_are_not_made_one(tmp_path: Path) -> None:
    """Two samples of one prompt were paid for: where a job drops one, both stay."""
    settled = await load(tmp_path, line(1, "first", A), line(1, "second", A))

    assert settled.rename(["first"], {"first": {A}}) == {}
    assert settled.rename(["first", "other"], {"first": {A}, "other": {A}}) == {
        ("second", A): "other"
    }


def test_a_request_without_a_name_does_not_join_those_that_have_one() -> None:
    """It may be one of them, changed: nothing is paid before that is clear."""
    with pytest.raises(ConfigError, match="short, tags"):
        require_named({"tags": frozenset(), "short": frozenset()}, {""})
    require_named({"tags": frozenset(), "": frozenset()}, {""})
    require_named({}, {""})
    require_named({"tags": frozenset()}, {"short"})
