"""Selects the captions of an output folder that --recaption replaces (main, in a thread)."""

import os
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from captionfleet.config.filters import Filter
from captionfleet.errors import ConfigError
from captionfleet.ledger.files.names import CAPTIONS, SAME
from captionfleet.ledger.files.reading import flags_in, id_in, read_lines, text_in
from captionfleet.ledger.format.fingerprint import request_of
from captionfleet.ledger.renaming import Renames
from captionfleet.messages import printable
from captionfleet.names import name_bytes

__all__ = ["chosen_clips", "facts_of", "listed_films"]


def facts_of(record: Mapping[str, Any], path: bytes) -> dict[str, Sequence[str]]:
    """A line's values under each key of a filter; `path` is its film's absolute path."""
    line = dict(record)
    return {
        "code": [text_in(line, "code")],
        "deployment": [text_in(line, "deployment")],
        "flag": flags_in(line),
        "model": [text_in(line, "model")],
        "path": [printable(os.fsdecode(path)), text_in(line, "source")],
        "request": [text_in(line, "request")],
        "time": [text_in(line, "completed_at_utc") or text_in(line, "failed_at_utc")],
    }


def listed_films(path: Path) -> frozenset[bytes]:
    """The films that a text file names, one path per line; relative paths count from its folder.

    Raises:
        ConfigError: the file cannot be read, or is empty.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise ConfigError(f"{printable(os.fspath(path))}: {error.strerror}") from None
    named = [line.removesuffix(b"\r") for line in lines]
    base = path.absolute().parent
    named = [one for one in named if one.strip() and not one.startswith(b"#")]
    films = [os.fsencode(base / os.fsdecode(one)) for one in named]
    if not films:
        raise ConfigError(f"{printable(os.fspath(path))}: it names no film")
    return frozenset(map(os.path.realpath, films))


def chosen_clips(
    folder: Path,
    filters: Collection[Filter],
    films: frozenset[bytes] | None,
    renames: Renames,
) -> dict[str, set[int]]:
    """Clips whose latest line passes all filters and, if films are given, is of one of them.

    The ids are given for each request, by its current name. A line has two of them with `identity =
    "content"`: a run looks for a clip by its file's name and time first, then by its content.

    Raises:
        ConfigError: captions.jsonl or same.jsonl cannot be read.
    """
    chosen: dict[str, set[int]] = defaultdict(set)
    others = _other_paths(folder)
    for ids, line in _lines(folder):
        made = text_in(line, "request"), request_of(text_in(line, "fingerprint"))
        name = renames.get(made, made[0])
        record = {**line, "request": name}
        own = name_bytes(record, "path") or name_bytes(record, "source") or b""
        paths = [own, *others.get(ids[0], ())]
        facts = facts_of(record, own)
        facts["path"] = [*facts["path"], *map(_shown, paths[1:])]
        is_named = films is None or not films.isdisjoint(paths)
        if is_named and all(one.admits(facts) for one in filters):
            chosen[name].update(ids)
        else:
            chosen[name].difference_update(ids)
    return chosen


def _lines(folder: Path) -> Iterator[tuple[list[int], dict[str, Any]]]:
    """The lines that name a clip, each with its ids, the clip's own first."""
    for line in read_lines(folder / CAPTIONS):
        ids = [id_in(line.record, key) for key in ("clip_id", "stat_id")]
        if ids[0] is not None:
            yield [one for one in ids if one is not None], line.record


def _other_paths(folder: Path) -> dict[int, list[bytes]]:
    """The paths of other files that hold a clip: renamed ones, and copies."""
    paths: dict[int, list[bytes]] = defaultdict(list)
    for line in read_lines(folder / SAME):
        identity, path = id_in(line.record), name_bytes(line.record, "path")
        if identity is not None and path:
            paths[identity].append(path)
    return paths


def _shown(path: bytes) -> str:
    return printable(os.fsdecode(path))
