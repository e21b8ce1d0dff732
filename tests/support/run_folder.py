"""Output folders made up line by line, for whoever reads them back."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import orjson

from captionfleet.errors import FailureCode
from captionfleet.ledger.format.serialising import caption_line, failure_line
from tests.support.outcomes import make_caption, make_clip, make_failure

STARTED, ENDED = "2026-11-22T06:00:00.000Z", "2026-11-22T06:10:00.000Z"
AT = "2026-11-22T06:01:00.000Z"

# What is worst to meet in a page: each must come out as the text that it is.
HOSTILE = {
    "script": "<script>window.broken = 1; alert(1)</script>",
    "end of script": "</script><script>window.broken = 2</script>",
    "comment": "<!--<script>",
    "handler": '"><img src=x onerror="window.broken = 3">',
    "quotes": 'it\'s "quoted" `here` ${window.broken = 4} {{ 7 * 7 }} {% raw %}',
    "link": "javascript:window.broken=5",
    "separators": "line\u2028separator\u2029and\x00nul\x1b[31m",
    "right to left": "\u202e\u05d0\u05d1\u05d2 gpj.exe",
    "entity": "&lt;b&gt;&amp;amp;",
    "long": "a" * 2**20,
}


def caption_record(number: int = 1, name: str = "holiday/beach.mp4", **keys: Any) -> dict[str, Any]:
    """A captions line; `keys` replace what stands there."""
    line = caption_line(make_caption(make_clip(number, name)), AT)
    record: dict[str, Any] = orjson.loads(line)
    return record | keys


def failure_record(
    number: int = 1,
    name: str = "holiday/beach.mp4",
    code: FailureCode = FailureCode.TIMEOUT,
) -> dict[str, Any]:
    """A failures line."""
    line = failure_line(make_failure(make_clip(number, name), code), AT)
    record: dict[str, Any] = orjson.loads(line)
    return record


def write_run_folder(
    folder: Path,
    captions: Iterable[Mapping[str, Any]] = (),
    failures: Iterable[Mapping[str, Any]] = (),
    **files: Mapping[str, Any],
) -> Path:
    """Write the two line files, and NAME.json for every further mapping."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, records in (("captions", captions), ("failures", failures)):
        with (folder / f"{name}.jsonl").open("wb") as file:
            file.writelines(orjson.dumps(dict(record)) + b"\n" for record in records)
    for name, record in files.items():
        (folder / f"{name}.json").write_bytes(orjson.dumps(dict(record)))
    return folder
