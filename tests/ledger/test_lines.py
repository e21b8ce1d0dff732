"""Output lines, byte for byte."""

import base64
import dataclasses
import json
import math
import os
from pathlib import Path

import orjson
from hypothesis import given
from hypothesis import strategies as st

from captionfleet.errors import FailureCode
from captionfleet.ledger.format.serialising import caption_line, document, failure_line
from captionfleet.messages import Clip, Latency, Source, Usage
from tests.support.outcomes import FACTS, make_caption, make_clip, make_failure

AT = "2026-11-22T06:00:00.123Z"


def test_a_captions_line_has_the_documented_keys_in_order() -> None:
    """The keys of a captions line, and their order, are an interface."""
    line = caption_line(make_caption(server={"server-time-to-first-token": 0.4}), AT)

    record = json.loads(line)
    assert list(record) == [
        "clip_id",
        "fingerprint",
        "stat_id",
        "request",
        "source",
        "source_b64",
        "start_s",
        "end_s",
        "caption",
        "reasoning",
        "data",
        "finish_reason",
        "model",
        "deployment",
        "attempts",
        "hedged",
        "usage",
        "latency",
        "media",
        "server",
        "flags",
        "media_key",
        "path",
        "path_b64",
        "root",
        "root_b64",
        "id",
        "prompt",
        "metadata",
        "completed_at_utc",
    ]
    assert line.startswith(b'{"clip_id":"%032x","fingerprint":"","stat_id":"","request":"","so' % 1)
    assert record["attempts"] == 1
    assert record["usage"] == {
        "prompt_tokens": 7402,
        "completion_tokens": 180,
        "total_tokens": 7582,
        "cached_tokens": 0,
    }
    assert list(record["latency"])[:5] == "prepare_s queue_s request_s ttft_s total_s".split()
    assert list(record["latency"])[5:] == ["decode_s", "encode_s", "upload_s"]
    assert record["media"] == dataclasses.asdict(FACTS) | {
        "frame_times_s": [0.0, 1.001, 2.002],
        "frame_bytes": [float(FACTS.video_bytes)],
    }
    assert {key: value for key, value in record["server"].items() if value} == {
        "server-time-to-first-token": 0.4
    }
    assert (record["data"], record["flags"], record["hedged"]) == ("null", "", False)
    assert record["completed_at_utc"] == AT


def test_a_failures_line_has_the_documented_keys_in_order() -> None:
    """The keys of a failures line, and their order, are an interface."""
    record = json.loads(failure_line(make_failure(code=FailureCode.NO_FRAMES), AT))

    assert record == {
        "clip_id": f"{1:032x}",
        "stat_id": "",
        "request": "",
        "source": "holiday/beach.mp4",
        "source_b64": "",
        "start_s": 0.0,
        "end_s": 60.0,
        "stage": "sender",
        "code": "no_frames",
        "permanent": True,
        "detail": "no answer in 300 s",
        "attempts": 2,
        "path": "/videos/holiday/beach.mp4",
        "path_b64": "",
        "root": "",
        "root_b64": "",
        "id": "",
        "prompt": "",
        "metadata": "{}",
        "requests": record["requests"],
        "failed_at_utc": AT,
    }
    assert list(record) == (
        "clip_id stat_id request source source_b64 start_s end_s stage code permanent detail "
        "attempts path path_b64 root root_b64 id prompt metadata requests failed_at_utc".split()
    )
    assert json.loads(record["requests"]) == [
        {"deployment": "omni-a", "code": "no_frames", "status": 503, "seconds": 1.5},
        {"deployment": "omni-b", "code": "no_frames", "status": None, "seconds": 1.0},
    ]


def test_a_detail_is_one_short_line() -> None:
    """Whatever a server or a library says, the detail stays one line of bounded length."""
    failure = make_failure(detail="  two\nlines\u2028three " + "x" * 10_000)

    detail = json.loads(failure_line(failure, AT))["detail"]
    assert detail.startswith("two lines three xxx")
    assert len(detail) == 500


@given(st.binary(min_size=1, max_size=12))
def test_every_name_can_be_had_back(raw: bytes) -> None:
    """A name that is UTF-8 stands as it is; of another the bytes are told as well."""
    clip = Clip("0" * 32, Source("/x", os.fsdecode(raw), 1, 1), 0.0, 60.0)

    record = orjson.loads(failure_line(make_failure(clip), AT))

    exact = record.get("source_b64")
    assert raw == (base64.b64decode(exact) if exact else record["source"].encode())


texts = st.text(st.characters(exclude_categories=[]), max_size=20)


@given(texts, texts, st.dictionaries(texts, texts | st.floats(), max_size=3))
def test_any_answer_is_one_line_of_json(
    text: str, reason: str, server: dict[str, float | str]
) -> None:
    """Lone surrogates, control characters, NaN and infinity still give one valid line."""
    latency = Latency(math.nan, math.inf, 1.0, None, 2.0)
    caption = make_caption(text=text, finish_reason=reason, server=server, latency=latency)

    line = caption_line(caption, AT)

    record = orjson.loads(line)
    assert line.count(b"\n") == 1
    assert record["latency"]["prepare_s"] == 0
    if all(ord(character) not in range(0xD800, 0xE000) for character in text):
        assert record["caption"] == text


def test_a_number_beyond_all_reason_does_not_break_the_line() -> None:
    """A token count of a hundred digits is taken as not known, not a crash."""
    caption = make_caption(usage=Usage(prompt_tokens=10**100, completion_tokens=5))

    usage = orjson.loads(caption_line(caption, AT))["usage"]

    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (0, 5)


def test_a_document_may_hold_paths() -> None:
    """The settings in run.json hold paths, of any bytes."""
    written = document({"dir": Path(os.fsdecode(b"a\xff")), "sources": (Path("b"),), "n": 1})

    assert orjson.loads(written) == {"dir": "a\\xff", "sources": ["b"], "n": 1}


def test_the_clip_id_is_where_resuming_looks_for_it() -> None:
    """Every line begins with the clip id, which makes reading a million of them cheap."""
    clip = make_clip(0xABC)

    for line in (caption_line(make_caption(clip), AT), failure_line(make_failure(clip), AT)):
        assert line[:12] == b'{"clip_id":"'
        assert line[12:44].decode() == clip.clip_id
