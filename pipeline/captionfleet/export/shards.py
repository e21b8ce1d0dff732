"""Writes WebDataset shards: prepared media and captions in tar files (main process).

A clip stays in the shard that it was first put in, also while its film's disk is away. A shard is
rewritten as a whole when one of its clips was added, changed or removed; media that the store has
evicted meanwhile are copied from the old shard.
"""

import io
import os
import re
import tarfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from hashlib import blake2b, sha256
from pathlib import Path

import orjson

from captionfleet.config import ExportConfig
from captionfleet.export.choice import Choice, Item
from captionfleet.export.owned import Register
from captionfleet.export.tables import Collected
from captionfleet.ledger.files.disk import create_folder, replace_atomically
from captionfleet.ledger.files.reading import table_in, text_in
from captionfleet.ledger.stored_media import stored_files
from captionfleet.system.regular_file import open_regular

__all__ = ["write_shards"]

_MOST_MEDIA_BYTES = 1 << 28
_LEFT_OUT = "left out: their media are not in the store"
_KEPT = "of them kept while their files are away"


def write_shards(
    choice: Choice, export: ExportConfig, register: Register, folder: Path, store: Path
) -> Counter[str]:
    """Bring the shards of a folder up to date.

    Raises:
        OutputError: they cannot be written.
    """
    create_folder(folder)
    counts: Counter[str] = Counter()
    with register.batch():
        register.begin_members()
        for item in choice.items():
            clip, request = item.entry.clip, item.entry.request
            if register.is_member(clip, request) or _has_media(item, store):
                register.add_member(clip, request, item.entry.at, export.shard_clips)
            else:
                counts[_LEFT_OUT] += 1
        kept = _keep_away(choice, register, export.shard_clips)
        register.end_members()
    for number in register.shards():
        path = folder / f"captions-{number:06}.tar"
        counts += _Shard(choice, register, path, store).bring_up(number)
    return counts + Counter({_KEPT: kept})


def _keep_away(choice: Choice, register: Register, most: int) -> int:
    """Keep members whose films are away: the store may not have their media any more."""
    kept = 0
    for item in choice.away():
        if register.is_member(item.entry.clip, item.entry.request):
            register.add_member(item.entry.clip, item.entry.request, item.entry.at, most)
            choice.keep(item)
            kept += 1
    return kept


class _Shard:
    """One tar file: its present and its wanted content."""

    def __init__(self, choice: Choice, register: Register, path: Path, store: Path) -> None:
        self._choice = choice
        self._register = register
        self._path = path
        self._store = store
        self._counts: Counter[str] = Counter()

    def bring_up(self, number: int) -> Counter[str]:
        digest, size = self._digest(number)
        if not size:
            self._register.drop(os.fspath(self._path))
            return Counter({"shards removed": 1})
        if self._register.digest(os.fspath(self._path)) == digest and self._path.is_file():
            return Counter({"clips as they were": size})
        with self._register.claim(os.fspath(self._path)):
            replace_atomically(self._path, self._parts(number))
            # A shard that lacks media is looked at again next time.
            is_whole = not self._counts[_LEFT_OUT]
            self._register.settle(os.fspath(self._path), digest if is_whole else b"")
        return self._counts

    def _items(self, number: int) -> Iterator[Item]:
        for at in self._register.members(number):
            yield self._choice.item_at(at)

    def _digest(self, number: int) -> tuple[bytes, int]:
        digest, size = blake2b(digest_size=16), 0
        for item in self._items(number):
            digest.update(orjson.dumps([_key(item), item.caption, item.record]))
            size += 1
        return digest.digest(), size

    def _parts(self, number: int) -> Iterator[bytes]:
        sink = Collected()
        with ExitStack() as closing:
            former = _Former(closing, self._path)
            archive = closing.enter_context(tarfile.open(fileobj=sink, mode="w|"))
            for item in self._items(number):
                media = self._media(item, former)
                if media is None:
                    self._counts[_LEFT_OUT] += 1
                    continue
                for ending, content in [*media, *_texts(item)]:
                    member = tarfile.TarInfo(_key(item) + ending)
                    member.size = len(content)
                    archive.addfile(member, io.BytesIO(content))
                self._counts["clips written"] += 1
                archive.members.clear()  # type: ignore[attr-defined] # it keeps every member, a kilobyte each
                yield from sink.taken()
        yield from sink.taken()

    def _media(self, item: Item, former: "_Former") -> list[tuple[str, bytes]] | None:
        """The bytes that were sent, by the hashes in the line; None where any is missing."""
        files = stored_files(self._store, item.record)
        found = []
        for path, key in zip(files or (), ("video_sha256", "audio_sha256"), strict=False):
            if path is None:
                continue
            known = text_in(table_in(item.record, "media"), key)
            content = _stored(path)
            if content is None or sha256(content).hexdigest() != known:
                content = former.content(_key(item) + path.suffix)
            if content is None or sha256(content).hexdigest() != known:
                return None
            found.append((path.suffix, content))
        return found or None


def _texts(item: Item) -> list[tuple[str, bytes]]:
    facts = {"film": item.record.get("source"), "end_s": item.end_s}
    record = {key: value for key, value in item.record.items() if key != "caption"}
    return [
        (".txt", item.caption.encode()),
        (".json", orjson.dumps(record | facts | {"caption": item.caption})),
    ]


def _key(item: Item) -> str:
    """The name of a sample; it holds no dot, at which readers would split it."""
    request = re.sub(r"[^A-Za-z0-9_-]", "_", item.entry.request)[:64]
    return item.entry.clip.hex() + (f"-{request}" if request else "")


def _has_media(item: Item, store: Path) -> bool:
    files = stored_files(store, item.record)
    return files is not None and os.path.lexists(files.video)


def _stored(path: Path) -> bytes | None:
    try:
        with os.fdopen(open_regular(path), "rb") as file:
            return file.read(_MOST_MEDIA_BYTES)
    except OSError:
        return None


class _Former:
    """The shard as the last export left it, if it can be read."""

    def __init__(self, closing: ExitStack, path: Path) -> None:
        self._file: io.BufferedReader | None = None
        self._places: dict[str, tuple[int, int]] | None = None
        with suppress(OSError):
            self._file = closing.enter_context(os.fdopen(open_regular(path), "rb"))

    def content(self, name: str) -> bytes | None:
        """The content of a member; None where there is none."""
        if self._file is None:
            return None
        if self._places is None:
            self._places = _places_in(self._file)
        offset, size = self._places.get(name, (0, 0))
        self._file.seek(offset)
        return self._file.read(min(size, _MOST_MEDIA_BYTES)) if size else None


def _places_in(file: io.BufferedReader) -> dict[str, tuple[int, int]]:
    """Offset and size of each member of a tar file, up to where it is damaged."""
    places: dict[str, tuple[int, int]] = {}
    with suppress(OSError, tarfile.TarError), tarfile.open(fileobj=file, mode="r:") as archive:
        for member in archive:
            places[member.name] = (member.offset_data, member.size)
            archive.members.clear()  # type: ignore[attr-defined] # as above
    return places
