"""Joins the output folders of shards into one, and checks the result (main, in a thread)."""

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from captionfleet.errors import ConfigError, OutputError
from captionfleet.ledger.files.disk import create_folder, remove_old_drafts, replace_atomically
from captionfleet.ledger.files.lock import FolderLock
from captionfleet.ledger.files.names import ADOPTED, CAPTIONS, FAILURES, FILMS, MERGE, SAME
from captionfleet.ledger.files.reading import (
    ended,
    raw_lines,
    record_of,
    text_in,
)
from captionfleet.ledger.format.fingerprint import request_change, request_of
from captionfleet.ledger.format.serialising import document
from captionfleet.ledger.past_runs import job_table_in, read_run, unended_since
from captionfleet.ledger.renaming import ByName
from captionfleet.ledger.requests import Requests, load_requests, save_requests
from captionfleet.merge.joining import Fate, Joining, open_joining
from captionfleet.messages import printable
from captionfleet.telemetry import Steps, utc_now

__all__ = ["Merged", "merge"]

_MB = 1e6
_MOST_NAMED = 20  # misfits shown: a screenful
_MOST_KEPT = 10_000  # misfits in merge.json


@dataclass(slots=True)
class Merged:
    """The result of a merge; `misfits` lists what does not fit, a line each."""

    captions: int = 0
    failures: int = 0
    repeated: int = 0
    copies: int = 0
    misfit_count: int = 0
    has_names: bool = False
    misfits: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """The result in words."""
        each = "one a clip and request" if self.has_names else "one a clip"
        lines = [f"{self.captions:,} captions, {each}; {self.failures:,} failures"]
        if self.repeated:
            lines.append(f"{self.repeated:,} captions were of clips that have a later one")
        if self.copies:
            lines.append(f"{self.copies:,} clips show the media of another clip (copies of a file)")
        shown = self.misfits[:_MOST_NAMED]
        more = self.misfit_count - len(shown)
        return [*lines, *shown, *([f"and {more:,} more, see {MERGE}"] if more else [])]


def merge(folders: Sequence[Path], out: Path, steps: Steps | None = None) -> Merged:
    """Join output folders into `out`, which keeps what it holds; `steps` counts what is read.

    Raises:
        ConfigError: a folder is not an output folder, or the captions came from different requests.
        OutputError: a folder is in use, cannot be read, or `out` cannot be written.
    """
    create_folder(out)
    parts = _distinct([out, *folders] if _is_output(out) else folders)
    for part in parts:
        _require_whole(part)
    with ExitStack() as held, open_joining() as joining:
        for folder in _distinct([*parts, out]):
            if os.access(folder, os.W_OK):  # an archive may be on a read-only medium
                held.callback(FolderLock(folder).release)
        remove_old_drafts(out)
        return _Merge(parts, out, joining, steps or Steps()).run()


def _distinct(folders: Sequence[Path]) -> list[Path]:
    return list({os.path.realpath(folder): folder for folder in reversed(folders)}.values())[::-1]


def _is_output(folder: Path) -> bool:
    return any((folder / name).is_file() for name in (CAPTIONS, FAILURES))


def _require_whole(folder: Path) -> None:
    if not _is_output(folder):
        raise ConfigError(f"{_shown(folder)}: no captions.jsonl: is this an output folder?")
    if (folder / ADOPTED).exists():
        raise ConfigError(
            f"{_shown(folder)}: a run there was killed before it had rewritten its lines: run it "
            "again, then merge"
        )


class _Merge:
    def __init__(self, parts: list[Path], out: Path, joining: Joining, steps: Steps) -> None:
        self._steps = steps
        self._parts = parts
        self._out = out
        self._joining = joining
        self._merged = Merged()
        self._requests = [load_requests(part) for part in parts]

    def run(self) -> Merged:
        self._begin("reading")
        self._require_one_request(self._index())
        self._merged.copies = self._joining.copies()
        self._judge_runs()
        self._begin("writing")
        self._save()
        return self._merged

    def _begin(self, doing: str) -> None:
        total = sum(_size(part / CAPTIONS) for part in self._parts)
        number = len(self._parts)
        folders = f"{number} folder{'' if number == 1 else 's'}"
        self._steps.begin(f"{doing} {folders}", total / _MB, "MB")

    def _index(self) -> list[ByName]:
        """Add all lines; return the requests behind each folder's captions."""
        found = [self._index_captions(number) for number in range(len(self._parts))]
        for number in range(len(self._parts)):
            for at, _, record in self._lines(number, FAILURES):
                self._joining.add_failure(number, at, record)
        return found

    def _index_captions(self, number: int) -> ByName:
        found: dict[str, set[str]] = defaultdict(set)
        for at, raw, record in self._lines(number, CAPTIONS):
            name = text_in(record, "request")
            request = request_of(text_in(record, "fingerprint"))
            where = f"{_shown(self._parts[number])}: {text_in(record, 'source')[:200]}"
            if not self._counts(number, name, request):
                self._misfit(f"{where}: its caption is to be replaced")
                continue
            fate = self._joining.add(number, at, record, raw)
            self._merged.repeated += fate is Fate.REPEATED
            if fate is Fate.UNFIT:
                self._misfit(f"{where}: another film has its clip_id")
            elif fate is Fate.NAMELESS and not raw.isspace():
                part = _shown(self._parts[number])
                self._misfit(f"{part}: a line names no clip (at byte {at:,})")
            self._merged.has_names = self._merged.has_names or bool(name)
            if request:
                found[name].add(request)
        return {name: frozenset(requests) for name, requests in found.items()}

    def _misfit(self, words: str) -> None:
        self._merged.misfit_count += 1
        if len(self._merged.misfits) < _MOST_KEPT:
            self._merged.misfits.append(words)

    def _counts(self, number: int, name: str, request: str) -> bool:
        current = self._requests[number].current
        return not request or current is None or name not in current or request in current[name]

    def _require_one_request(self, found: list[ByName]) -> None:
        """Refuse folders of different requests; only the deployments of their fleets may differ.

        Named requests are checked one by one, and a folder need not have all of them.
        """
        known: dict[str, dict[str, Any]] = defaultdict(dict)
        for part, requests, noted in zip(self._parts, found, self._requests, strict=True):
            current = noted.current or {}
            for name in requests.keys() | current.keys():
                ones = requests.get(name, frozenset()) | current.get(name, frozenset())
                own = {one: noted.facts.get(one) for one in ones}
                if change := request_change(known[name], own):
                    which = f"captions of request {name}" if name else "captions"
                    raise ConfigError(
                        f"{_shown(part)}: its {which} were made with another request than those of "
                        f"{_shown(self._parts[0])} ({change}): nothing is merged"
                    )
                known[name] |= own

    def _judge_runs(self) -> None:
        """List folders whose run did not end, and shards that are missing."""
        shards: dict[int, set[int]] = {}
        for part in self._parts:
            run = read_run(part)
            ended = "" if unended_since(part) else text_in(run, "ended")
            if part != self._out and ended != "complete":
                how = f"ended by {ended}" if ended else "did not end"
                self._misfit(f"{_shown(part)}: its last run {how}: run it again")
            named = job_table_in(run, "input").get("shard")
            index, _, count = named.partition("/") if isinstance(named, str) else ("", "", "")
            if index.isdecimal() and count.isdecimal():
                shards.setdefault(int(count), set()).add(int(index))
        for most, there in shards.items():
            missing = (one for one in range(most) if one not in there)
            names = ", ".join(f"{one}/{most}" for one in islice(missing, _MOST_NAMED))
            if names:
                self._misfit(f"shards without a finished run among the folders: {names}")

    def _save(self) -> None:
        facts: dict[str, Any] = {}
        current: ByName = {}
        for one in self._requests:
            facts |= one.facts
            for name, requests in (one.current or {}).items():
                current[name] = current.get(name, frozenset()) | requests
        if facts:
            save_requests(self._out, Requests(facts, current))
        replace_atomically(self._out / CAPTIONS, self._captions())
        replace_atomically(self._out / FAILURES, self._failures())
        for name in (SAME, FILMS):
            if any((part / name).exists() for part in self._parts):
                replace_atomically(self._out / name, self._notes(name))
        record = {
            "merged_at_utc": utc_now(),
            "folders": [printable(os.fspath(part)) for part in self._parts],
            "captions": self._merged.captions,
            "failures": self._merged.failures,
            "repeated": self._merged.repeated,
            "copies": self._merged.copies,
            "misfit_count": self._merged.misfit_count,
            "misfits": self._merged.misfits,
        }
        replace_atomically(self._out / MERGE, iter([document(record)]))

    def _captions(self) -> Iterator[bytes]:
        for number in range(len(self._parts)):
            for at, raw, _ in self._lines(number, CAPTIONS):
                if self._joining.stands(number, at):
                    self._merged.captions += 1
                    yield ended(raw)
        if self._merged.captions != self._joining.clips():  # before the file is put in place
            raise OutputError(f"{_shown(self._out)}: a folder changed meanwhile: merge again")

    def _failures(self) -> Iterator[bytes]:
        for number in range(len(self._parts)):
            for at, raw, record in self._lines(number, FAILURES):
                if self._joining.stands_failed(number, at, record):
                    self._merged.failures += 1
                    yield ended(raw)

    def _notes(self, name: str) -> Iterator[bytes]:
        for number in range(len(self._parts)):
            for _, raw, record in self._lines(number, name):
                if record and self._joining.is_first(raw):
                    yield ended(raw)

    def _lines(self, number: int, name: str) -> Iterator[tuple[int, bytes, dict[str, Any]]]:
        path = self._parts[number] / name
        try:
            for at, raw in raw_lines(path):
                yield at, raw, record_of(raw)
                self._steps.count(len(raw) / _MB if name == CAPTIONS else 0)
        except FileNotFoundError:
            return
        except OSError as error:
            raise OutputError(f"cannot read {_shown(path)}: {error.strerror}") from None


def _shown(path: Path) -> str:
    return printable(os.fspath(path))


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
