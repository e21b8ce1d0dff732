"""Output folders whose lines speak of files that are there, without any run."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson

from captionfleet.config import MediaConfig
from captionfleet.ledger.format.serialising import caption_line
from captionfleet.messages import Clip, Source
from captionfleet.producer.identity.clips import clip_id, plan
from tests.support.outcomes import FACTS, make_caption

AT = "2026-11-22T06:01:00.000Z"


def found(root: Path, name: str) -> Source:
    """A file as a walk finds it."""
    path = root / name
    facts = path.stat()
    return Source(
        os.fspath(path),
        name,
        facts.st_size,
        facts.st_mtime_ns,
        os.path.realpath(root),
        os.path.realpath(path),
    )


def film(root: Path, name: str, content: bytes = b"film") -> Source:
    """A file that stands for a film."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return found(root, name)


def line(one: Source, caption: str, /, **keys: Any) -> bytes:
    """The captions line of a film's first minute."""
    (clip,) = plan(one, MediaConfig())
    return _line(clip, caption, keys)


def window_line(source: Source, start_s: float, end_s: float, caption: str) -> bytes:
    """The captions line of another window of a film."""
    version = source.size_bytes, source.mtime_ns
    name = clip_id(os.fsencode(source.known_path), *version, start_s, end_s)
    return _line(Clip(name, source, start_s, end_s), caption, {})


def _line(clip: Clip, caption: str, keys: Mapping[str, Any]) -> bytes:
    made = replace(make_caption(clip, text=caption), facts=FACTS)
    record: dict[str, Any] = orjson.loads(caption_line(made, AT, "f" * 16))
    return orjson.dumps(record | keys) + b"\n"


def write_lines(folder: Path, lines: Iterable[bytes]) -> Path:
    """An output folder that holds these lines."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "captions.jsonl").open("wb") as file:
        file.writelines(lines)
    return folder


def with_media(store: Path, number: int, *, as_frames: bool = False) -> dict[str, Any]:
    """Keys of a line whose media lie in a store: MP4 and Ogg, or JPEGs and WAV."""
    key = f"{number:040x}"
    base = store / key[:2] / key
    base.parent.mkdir(parents=True, exist_ok=True)
    video, audio = b"video %d" % number, b"audio %d" % number
    base.with_suffix(".mjpeg" if as_frames else ".mp4").write_bytes(video)
    base.with_suffix(".wav" if as_frames else ".ogg").write_bytes(audio)
    hashes = {
        "video_sha256": sha256(video).hexdigest(),
        "audio_sha256": sha256(audio).hexdigest(),
    }
    form = {"video_as": "frames", "audio_format": "wav"} if as_frames else {}
    return {"media_key": key, "media": hashes | form | {"source_s": 20.0, "has_audio": True}}
