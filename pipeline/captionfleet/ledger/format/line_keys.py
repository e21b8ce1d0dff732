"""Defines every key of a line of captions.jsonl and failures.jsonl; pure (main process).

The writer, the schemas and the check of the documents follow it, so a new key is one entry here.
Many readers infer a column's type from the first lines or megabytes. Hence three rules: every key
is in every line, in this order; a value's type never changes; nothing is null. An unknown or absent
value is "", 0 or false.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from operator import attrgetter
from typing import Any

import orjson

from captionfleet.ledger.format.rows import CaptionRow, FailureRow
from captionfleet.messages import Attempt, MediaFacts, printable
from captionfleet.names import exact_bytes

__all__ = [
    "CAPTIONS",
    "FAILURES",
    "SERVER",
    "Column",
    "Type",
]


class Type(StrEnum):
    """The type of a value in every line; `JSON` is text that holds one JSON value, perhaps null.

    JSON is for values whose shape varies: readers always see a string. `NUMBERS` is a list that is
    never empty, because an empty one does not show the type of its items.
    """

    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    NUMBERS = "numbers"
    JSON = "json"
    TABLE = "table"


@dataclass(frozen=True, slots=True)
class Column:
    """A key of a line, or of a table in it.

    `value` computes the value from the row, or from the table's value; None reads the attribute
    with the key's name.
    """

    name: str
    type: Type
    meaning: str
    value: Callable[[Any], Any] | None = None
    columns: tuple["Column", ...] = ()


_MAX_DETAIL_CHARS = 500


def _detail(row: FailureRow) -> str:
    return " ".join(row.failure.detail.split())[:_MAX_DETAIL_CHARS]


def _requests(row: FailureRow) -> list[dict[str, Any]]:
    return [_request(attempt) for attempt in row.failure.attempts]


def _request(attempt: Attempt) -> dict[str, Any]:
    return {
        "deployment": attempt.deployment,
        "code": attempt.code,
        "status": attempt.status,
        "seconds": round(attempt.ended_s - attempt.started_s, 6),
    }


def _flags_text(row: CaptionRow) -> str:
    return " ".join(row.caption.flags)


def _part_bytes(facts: MediaFacts) -> tuple[int, ...]:
    return facts.frame_bytes or (facts.video_bytes,)


_TEXT, _INTEGER, _NUMBER = Type.TEXT, Type.INTEGER, Type.NUMBER
_BOOLEAN, _NUMBERS, _JSON, _TABLE = Type.BOOLEAN, Type.NUMBERS, Type.JSON, Type.TABLE

_USAGE = (
    Column("prompt_tokens", _INTEGER, "tokens of prompt and media; 0: not reported"),
    Column("completion_tokens", _INTEGER, "tokens of the answer; 0: not reported"),
    Column("total_tokens", _INTEGER, "the server's sum of both; 0: not reported"),
    Column("cached_tokens", _INTEGER, "prompt tokens from its cache; 0: none, or not reported"),
)

_LATENCY = (
    Column("prepare_s", _NUMBER, "seconds of the worker"),
    Column("queue_s", _NUMBER, "from prepared media to the start of the answered request"),
    Column("request_s", _NUMBER, "that request alone"),
    Column("ttft_s", _NUMBER, "time to the first token (TTFT); 0: neither streamed nor reported"),
    Column("total_s", _NUMBER, "from the start of preparing to the caption"),
    Column("decode_s", _NUMBER, "part of prepare_s: reading, decoding; 0: from the store"),
    Column("encode_s", _NUMBER, "part of prepare_s: encoding H.264 or JPEGs; 0: from the store"),
    Column("upload_s", _NUMBER, "part of request_s until the body was sent; 0: unknown"),
)

_DAMAGE = (
    Column("packets_lost", _INTEGER, "packets that are missing or do not decode"),
    Column("coverage", _NUMBER, "share of the window's frames that were there"),
    Column("frozen_frames", _INTEGER, "frames repeated from another second for lost ones"),
    Column("doubtful_frames", _INTEGER, "frames decoded after a loss: parts may be smeared"),
    Column("padded_frames", _INTEGER, "frames that only make up the number"),
)

_MEDIA = (
    Column("frames", _INTEGER, "frames that were sent"),
    Column("width", _INTEGER, "their width in pixels"),
    Column("height", _INTEGER, "their height in pixels"),
    Column("has_audio", _BOOLEAN, "whether sound was sent"),
    Column("audio_s", _NUMBER, "seconds of sound that were sent"),
    Column("sampling", _TEXT, "how the frames were chosen: exact or fast"),
    Column("video_bytes", _INTEGER, "size of the MP4, or of all JPEGs"),
    Column("audio_bytes", _INTEGER, "size of the sound; 0: no sound"),
    Column("payload_bytes", _INTEGER, "both in base64"),
    Column("video_sha256", _TEXT, "SHA-256 of the MP4, or of all JPEGs concatenated"),
    Column("audio_sha256", _TEXT, "SHA-256 of the sound; empty: no sound"),
    Column("source_codec", _TEXT, "the file's video codec"),
    Column("source_width", _INTEGER, "its width in pixels"),
    Column("source_height", _INTEGER, "its height in pixels"),
    Column("source_s", _NUMBER, "its duration in seconds"),
    Column("padded_frames", _INTEGER, "frames that repeat another, to make up the number"),
    Column("rotation_deg", _INTEGER, "how far the pictures were turned"),
    Column("frame_times_s", _NUMBERS, "true time of each frame in the file"),
    Column("decode_errors", _INTEGER, "packets that did not decode"),
    Column("crf", _INTEGER, "quality of the H.264: higher is smaller; 0: JPEGs were sent"),
    Column("damage", _TABLE, "what was lost of the window", columns=_DAMAGE),
    Column("video_as", _TEXT, "how the pictures were sent: video_url or frames"),
    Column("audio_as", _TEXT, "how the sound was sent: audio_url, input_audio or none"),
    Column("audio_format", _TEXT, "of the sound: ogg, wav or mp3"),
    Column("jpeg_quality", _INTEGER, "quality of the JPEGs; 0: an MP4 was sent"),
    Column("frame_bytes", _NUMBERS, "size of each JPEG; of an MP4, its size alone", _part_bytes),
)


def _figure(name: str, type_: Type, meaning: str) -> Column:
    return Column(name, type_, meaning, lambda server: server.get(name))


# https://docs.fireworks.ai: headers `fireworks-<name>`, or `perf_metrics` in the body.
SERVER = (
    _figure("prompt-tokens", _NUMBER, "tokens of the prompt"),
    _figure("cached-prompt-tokens", _NUMBER, "prompt tokens from the cache"),
    _figure("server-time-to-first-token", _NUMBER, "seconds to the first token"),
    _figure("server-processing-time", _NUMBER, "seconds in all"),
    _figure("num-concurrent-requests", _NUMBER, "requests in progress at the server meanwhile"),
    _figure("tokenizer-queue-duration", _NUMBER, "seconds"),
    _figure("tokenizer-duration", _NUMBER, "seconds"),
    _figure("prefill-queue-duration", _NUMBER, "seconds"),
    _figure("prefill-duration", _NUMBER, "seconds"),
    _figure("generation-queue-duration", _NUMBER, "seconds"),
    _figure("generation-duration", _NUMBER, "seconds"),
    _figure("speculation-generated-tokens", _NUMBER, "tokens guessed ahead"),
    _figure("speculation-acceptance", _TEXT, "how many of them were accepted, by position"),
    _figure("speculation-prompt-tokens", _NUMBER, "prompt tokens guessed from"),
    _figure("speculation-prompt-matched-tokens", _NUMBER, "how many of them matched"),
    _figure("backend-host", _TEXT, "the machine that answered"),
    _figure("deployment", _TEXT, "the deployment that answered, by the server's name"),
    _figure("x-request-id", _TEXT, "the request's id, for questions to the provider"),
    _figure("x-fireworks-request-id", _TEXT, "the same, from another header"),
    _figure("cf-ray", _TEXT, "the same, from a third header"),
)

_CLIP_ID = Column("clip_id", _TEXT, "the clip: 32 hex digits", attrgetter("clip.clip_id"))
_STAT_ID = Column(
    "stat_id",
    _TEXT,
    'the clip by path, size and time, with identity = "content" or behind a URL; else empty',
    attrgetter("clip.stat_id"),
)
_REQUEST = Column("request", _TEXT, "the request's name, where the job has several; else empty")
_EXACT = "its exact bytes in base64, if they are not UTF-8; else empty"
_WINDOW = (
    Column(
        "source",
        _TEXT,
        "the file, relative to root, the folder it was found under",
        lambda row: printable(row.clip.source.name),
    ),
    Column("source_b64", _TEXT, _EXACT, lambda row: exact_bytes(row.clip.source.name)),
    Column("start_s", _NUMBER, "where the clip begins", attrgetter("clip.start_s")),
    Column("end_s", _NUMBER, "where it ends at the latest", attrgetter("clip.end_s")),
)
_ROW = (
    Column("id", _TEXT, "its id in the list; or empty", attrgetter("clip.source.row.id")),
    Column(
        "prompt",
        _TEXT,
        "the row's own prompt; empty: the job's",
        attrgetter("clip.source.row.prompt"),
    ),
    Column(
        "metadata",
        _JSON,
        "the row's other columns",
        lambda row: orjson.loads(row.clip.source.row.metadata),
    ),
)
_PLACE = (
    Column(
        "path",
        _TEXT,
        "the file's absolute path without links, which identifies the clip",
        lambda row: printable(row.clip.source.known_path),
    ),
    Column("path_b64", _TEXT, _EXACT, lambda row: exact_bytes(row.clip.source.known_path)),
    Column(
        "root",
        _TEXT,
        "the folder of source",
        lambda row: printable(row.clip.source.root),
    ),
    Column("root_b64", _TEXT, _EXACT, lambda row: exact_bytes(row.clip.source.root)),
)

CAPTIONS = (
    _CLIP_ID,
    Column(
        "fingerprint",
        _TEXT,
        "the request it came from, as in requests.json; then - and the clip's own prompt",
    ),
    _STAT_ID,
    _REQUEST,
    *_WINDOW,
    Column("caption", _TEXT, "the answer's text", attrgetter("caption.text")),
    Column(
        "reasoning",
        _TEXT,
        "the model's thinking before it, if the server sends it",
        attrgetter("caption.reasoning"),
    ),
    Column("data", _JSON, "the answer as JSON, with response_schema", attrgetter("caption.data")),
    Column("finish_reason", _TEXT, "why the answer ended", attrgetter("caption.finish_reason")),
    Column("model", _TEXT, "the model that answered", attrgetter("caption.model")),
    Column("deployment", _TEXT, "the deployment that answered", attrgetter("caption.deployment")),
    Column("attempts", _INTEGER, "requests sent", lambda row: len(row.caption.attempts)),
    Column(
        "hedged", _BOOLEAN, "whether a second deployment was asked", attrgetter("caption.hedged")
    ),
    Column("usage", _TABLE, "tokens, as the server counts", attrgetter("caption.usage"), _USAGE),
    Column("latency", _TABLE, "seconds", attrgetter("caption.latency"), _LATENCY),
    Column(
        "media", _TABLE, "what was sent, and from which file", attrgetter("caption.facts"), _MEDIA
    ),
    Column("server", _TABLE, "the server's own figures", attrgetter("caption.server"), SERVER),
    Column("flags", _TEXT, "what is odd about it; empty: nothing", _flags_text),
    Column("media_key", _TEXT, "the media in the store; or empty", attrgetter("caption.media_key")),
    *_PLACE,
    *_ROW,
    Column("completed_at_utc", _TEXT, "when the caption came"),
)

FAILURES = (
    _CLIP_ID,
    _STAT_ID,
    _REQUEST,
    *_WINDOW,
    Column("stage", _TEXT, "producer, workers or sender", attrgetter("failure.stage")),
    Column("code", _TEXT, "the failure code", attrgetter("failure.code")),
    Column(
        "permanent",
        _BOOLEAN,
        "whether it is final for this file",
        attrgetter("failure.code.permanent"),
    ),
    Column("detail", _TEXT, "one line in words", _detail),
    Column("attempts", _INTEGER, "requests sent", lambda row: len(row.failure.attempts)),
    *_PLACE,
    *_ROW,
    Column("requests", _JSON, "each request: deployment, code, status, seconds", _requests),
    Column("failed_at_utc", _TEXT, "when it failed"),
)
