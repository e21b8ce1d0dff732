"""What stands in a line of the output, byte for byte; pure (main process)."""

import os
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from pathlib import PurePath
from typing import Any

import orjson

from captionfleet.messages import Adopted, Attempt, Caption, Clip, Failure, SameFile, printable
from captionfleet.names import name_fields

__all__ = [
    "adopted_line",
    "caption_line",
    "document",
    "failure_line",
    "refiled_line",
    "same_line",
]

_MAX_DETAIL_CHARS = 500
_MAX_INTEGER = 2**63
_EXACT = ("source_b64", "path_b64", "root_b64")
_NAMES = ("source", "path", "root", *_EXACT)


def caption_line(caption: Caption, completed_at_utc: str, fingerprint: str = "") -> bytes:
    """One line for captions.jsonl, its newline included.

    `fingerprint` names the request; it stands at a fixed place, where resuming reads it.
    """
    record = _identity(caption.clip, fingerprint) | {
        "caption": caption.text,
        **({} if caption.data is None else {"data": caption.data}),
        "finish_reason": caption.finish_reason,
        "model": caption.model,
        "deployment": caption.deployment,
        "attempts": len(caption.attempts),
        "usage": caption.usage,
        "latency": caption.latency,
        "media": caption.facts,
        "server": caption.server,
        "flags": caption.flags,
        **({"hedged": True} if caption.hedged else {}),
        **({"media_key": caption.media_key} if caption.media_key else {}),
        **_place(caption.clip),
        "completed_at_utc": completed_at_utc,
    }
    return _dumps(record, orjson.OPT_APPEND_NEWLINE)


def failure_line(failure: Failure, failed_at_utc: str) -> bytes:
    """One line for failures.jsonl, its newline included."""
    record = _identity(failure.clip) | {
        "stage": failure.stage,
        "code": failure.code,
        "permanent": failure.code.permanent,
        "detail": " ".join(failure.detail.split())[:_MAX_DETAIL_CHARS],
        "attempts": len(failure.attempts),
        **_place(failure.clip),
        "requests": [_request(attempt) for attempt in failure.attempts],
        "failed_at_utc": failed_at_utc,
    }
    return _dumps(record, orjson.OPT_APPEND_NEWLINE)


def same_line(same: SameFile, noted_at_utc: str) -> bytes:
    """One line for same.jsonl: the file is the clip, and so need not be read again."""
    keys = {"clip_id": same.clip.clip_id, "stat_id": same.clip.stat_id}
    name = name_fields("source", same.clip.source.name)
    return _dumps(keys | name | {"noted_at_utc": noted_at_utc}, orjson.OPT_APPEND_NEWLINE)


def adopted_line(adopted: Adopted, adopted_at_utc: str) -> bytes:
    """One line for adopted.jsonl: the caption under `former_id` is this clip's."""
    keys = {"clip_id": adopted.clip.clip_id, "former_id": adopted.former_id}
    source = name_fields("source", adopted.clip.source.name)
    record = keys | source | _place(adopted.clip) | {"adopted_at_utc": adopted_at_utc}
    return _dumps(record, orjson.OPT_APPEND_NEWLINE)


def refiled_line(record: Mapping[str, Any], key: str, adopted: Mapping[str, Any]) -> bytes:
    """A captions line under the id and the place of its file as they are today.

    `key` holds the id that changes, and `adopted` is the record of its line in adopted.jsonl.
    """
    kept = {name: value for name, value in record.items() if name not in _EXACT}
    place = {name: adopted[name] for name in _NAMES if name in adopted}
    return _dumps(kept | {key: adopted["clip_id"]} | place, orjson.OPT_APPEND_NEWLINE)


def document(record: Mapping[str, Any]) -> bytes:
    """A whole file of readable JSON."""
    return _dumps(dict(record), orjson.OPT_APPEND_NEWLINE | orjson.OPT_INDENT_2)


def _identity(clip: Clip, fingerprint: str = "") -> dict[str, Any]:
    keys = {"clip_id": clip.clip_id, "fingerprint": fingerprint, "stat_id": clip.stat_id}
    window = {"start_s": float(clip.start_s), "end_s": float(clip.end_s)}
    known = {key: value for key, value in keys.items() if value}
    return known | name_fields("source", clip.source.name) | window


def _place(clip: Clip) -> dict[str, str]:
    return name_fields("path", clip.source.known_path) | name_fields("root", clip.source.root)


def _request(attempt: Attempt) -> dict[str, Any]:
    return {
        "deployment": attempt.deployment,
        "code": attempt.code,
        "status": attempt.status,
        "seconds": round(attempt.ended_s - attempt.started_s, 6),
    }


def _dumps(record: dict[str, Any], options: int) -> bytes:
    # A server may send halves of surrogate pairs or integers of any length; orjson writes
    # NaN and infinity as null by itself.
    try:
        return orjson.dumps(record, option=options)
    except orjson.JSONEncodeError:
        return orjson.dumps(_clean(record), option=options)


def _clean(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    if isinstance(value, Mapping):
        return {_clean(str(key)): _clean(below) for key, below in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(below) for below in value]
    if isinstance(value, PurePath):
        return printable(os.fspath(value))
    if isinstance(value, str):
        return str(value).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    is_too_large = isinstance(value, int) and not -_MAX_INTEGER <= value < _MAX_INTEGER
    return None if is_too_large else value
