"""Which lines of captions.jsonl a later one replaces."""

import orjson

from captionfleet.ledger.format.superseded import find_superseded


def line(clip: int, request: str | None = None, stat_id: str = "") -> bytes:
    """A captions line as far as it matters here; None leaves the key out, as older ones do."""
    record = {"clip_id": f"{clip:032x}", "stat_id": stat_id}
    return orjson.dumps(record if request is None else record | {"request": request}) + b"\n"


def test_a_later_line_of_the_same_clip_replaces_the_earlier() -> None:
    """By either id, and whether or not the lines know requests."""
    stat_id = f"{7:032x}"
    lines = [line(1), line(2), line(1, ""), line(7), line(3, stat_id=stat_id), b"no record\n"]

    assert find_superseded(lines) == {0, 3}


def test_lines_of_several_requests_stand_side_by_side() -> None:
    """Each was paid for: only a later line of the same request replaces one."""
    names = ("short", "long", "tags")
    lines = [line(clip, name) for clip in (1, 2) for name in names]
    assert find_superseded(lines) == set()

    again = [*lines, line(1, "long"), line(2, "tags", f"{9:032x}"), line(9, "tags")]
    assert find_superseded(again) == {1, 5, 7}


def test_a_request_with_a_name_replaces_none_without() -> None:
    """A folder may hold captions of before its job named its requests."""
    assert find_superseded([line(1), line(1, "short"), line(1, "")]) == {0}
