"""What earlier runs settled, read back from their output folder (main process, in a thread)."""

import os
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

import anyio.to_thread

from captionfleet.errors import FailureCode, OutputError
from captionfleet.ledger.adoption import ADOPTED
from captionfleet.ledger.captioned import Captioned, captioned_in
from captionfleet.ledger.files.reading import id_in, raw_lines, record_of
from captionfleet.ledger.files.rotated import CAPTIONS, require_no_captions
from captionfleet.messages import Clip, printable

__all__ = ["Settled", "failures_in", "load_settled"]

_MAX_FINGERPRINTS = 64
_OTHERS = "others"


class Settled:
    """The clips that need no work: captioned, or failed for good.

    About 100 bytes a clip, twice that where `identity = "content"` made the lines, and for each
    other name that it knows them by.
    `ignored_lines` are lines of captions.jsonl that name no clip; `repeated_lines` hold a clip that
    an earlier line holds too; `replaces` tells that a clip was met whose caption does not count.
    `folder` is where all this was read, None for what nobody ran before.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder
        self.ignored_lines = 0
        self.repeated_lines = 0
        self.replaces = False
        self._captioned: dict[str, set[int]] = {}
        self._accepted: frozenset[str] | None = None
        self._standing: dict[int, tuple[FailureCode, int]] = {}
        self._same: dict[int, int] = {}
        self._met: set[int] = set()
        self._failed_before: set[int] = set()
        self._adopted: set[int] = set()
        self._again: frozenset[int] = frozenset()

    @property
    def is_known(self) -> bool:
        """Whether there are captions that say which request they came from."""
        return any(ids for fingerprint, ids in self._captioned.items() if fingerprint)

    @property
    def fingerprints(self) -> frozenset[str]:
        """The requests behind the captions."""
        return frozenset(name for name, ids in self._captioned.items() if name and ids)

    def accept(self, fingerprints: Iterable[str]) -> None:
        """Let only captions of these requests count, and those of unknown ones."""
        self._accepted = frozenset(fingerprints)

    def ask_again(self, clips: Iterable[int]) -> None:
        """Let the captions of these clips count no more, whatever request they came from."""
        self._again = frozenset(clips)

    def captioned(self, clip_id: str) -> bool:
        """Whether the clip has its caption."""
        is_there = self._counts(clip_id)
        self.replaces = self.replaces or is_there is False
        return is_there is True

    @property
    def has_captions(self) -> bool:
        """Whether any clip has a caption."""
        return any(self._captioned.values())

    def has_caption(self, clip_id: str) -> bool:
        """Whether the clip has a caption, of whatever request."""
        return self._counts(clip_id) is not None

    def is_replaced(self, clip_id: str) -> bool:
        """Whether the clip has a caption, and it does not count."""
        return self._counts(clip_id) is False

    def _counts(self, clip_id: str) -> bool | None:
        """Whether the clip's caption counts; None if it has none."""
        accepted, identity = self._accepted, int(clip_id, 16)
        same = self._same.get(identity, identity)
        if self._again and not self._again.isdisjoint((identity, same)):
            return False
        is_there: bool | None = None
        for name, ids in self._captioned.items():
            if identity in ids or same in ids:
                if not name or accepted is None or name in accepted:
                    return True
                is_there = False
        return is_there

    @property
    def holds_any(self) -> bool:
        """Whether any clip is settled."""
        return self.has_captions or bool(self._standing)

    def knows(self, clip_id: str) -> bool:
        """Whether the clip has a caption, of whatever request, or failed for good."""
        return self._counts(clip_id) is not None or self._failed(clip_id) is not None

    def is_adoptable(self, former_id: str) -> bool:
        """Whether this is known and no other clip has adopted it."""
        return int(former_id, 16) not in self._adopted and self.knows(former_id)

    def adopt(self, former_id: str, clip_id: str) -> bool:
        """Let what is settled under a former id of a clip be the clip's; True if it is a caption.

        Of several captions, the clip is known by one that counts.
        """
        former, own = int(former_id, 16), int(clip_id, 16)
        self._adopted.add(former)
        if self._counts(clip_id) is not True:
            self._same[own] = self._same.get(former, former)
        return self._counts(former_id) is not None

    def standing(self, clip_id: str) -> FailureCode | None:
        """The permanent failure of this very file content, if an earlier run found one."""
        found = self._failed(clip_id)
        return found[0] if found else None

    def stands_failed(self, clip_id: str, retried: Collection[str]) -> bool:
        """Whether the clip failed for good, and neither its code nor "all" is to be retried."""
        code = self.standing(clip_id)
        return code is not None and code not in retried and "all" not in retried

    def meet(self, clip_id: str) -> None:
        """Note that a standing failure's file is still there."""
        found = self._failed(clip_id)
        if found:
            self.keep(found[1])

    def failed_before(self, clip_id: str) -> bool:
        """Whether the clip stood failed at the end of an earlier run, for good or not."""
        return int(clip_id, 16) in self._failed_before

    def is_same(self, clip: Clip) -> bool:
        """Whether an earlier run noted that this file holds this clip."""
        return self._same.get(int(clip.stat_id, 16)) == int(clip.clip_id, 16)

    def _failed(self, clip_id: str) -> tuple[FailureCode, int] | None:
        identity = int(clip_id, 16)
        return self._standing.get(identity) or self._standing.get(self._same.get(identity, -1))

    def keep(self, identity: int) -> None:
        """Let the failure line of this clip stand."""
        self._met.add(identity)

    def keeps_failure(self, clip_id: str, *, is_complete: bool) -> bool:
        """Whether an earlier run's failure line still tells the truth after this run.

        A run that got through everything keeps the standing failures it met, and those beyond its
        sources; one that did not keeps all that were not captioned.
        """
        return int(clip_id, 16) in self._met if is_complete else not self.captioned(clip_id)

    def _keep(self, line: Captioned) -> None:
        is_room = line.fingerprint in self._captioned or len(self._captioned) < _MAX_FINGERPRINTS
        ids = self._captioned.setdefault(line.fingerprint if is_room else _OTHERS, set())
        known = self._forget(line.clip, ids)
        ids.add(line.clip)
        if line.alias is not None:
            known |= self._forget(line.alias, ids)
            ids.add(line.alias)
        self.repeated_lines += known

    def _forget(self, identity: int, keeper: set[int]) -> bool:
        """Take a clip from all but its latest request; return whether any held it."""
        is_known = identity in keeper
        if len(self._captioned) > 1:
            for ids in self._captioned.values():
                if ids is not keeper and identity in ids:
                    ids.remove(identity)
                    is_known = True
        return is_known

    def _fail(self, identity: int, code: FailureCode, alias: int | None) -> None:
        for one in (identity, identity if alias is None else alias):
            self._failed_before.add(one)
            if code.permanent:
                self._standing[one] = code, identity
            else:
                self._standing.pop(one, None)


async def load_settled(output_dir: Path, *, by_content: bool = False) -> Settled:
    """Read what earlier runs left; lines that make no sense are ignored.

    By content, files that were found to hold a clip under another name are known as well.

    Raises:
        OutputError: a file is there and cannot be read.
    """
    return await anyio.to_thread.run_sync(_load, output_dir, by_content)


def _load(output_dir: Path, by_content: bool) -> Settled:  # noqa: FBT001 - passed by position
    settled = Settled(output_dir)
    for line in _lines(output_dir / CAPTIONS):
        captioned = captioned_in(line)
        if captioned is not None:
            settled._keep(captioned)  # noqa: SLF001 - this function builds it
        elif not line.isspace():
            settled.ignored_lines += 1
    if not settled.has_captions:
        require_no_captions(output_dir, settled.ignored_lines)
    for identity, code, record in failures_in(output_dir):
        settled._fail(identity, code, id_in(record, "stat_id"))  # noqa: SLF001 - as above
    for line in _lines(output_dir / ADOPTED):
        record = record_of(line)
        clip, former = id_in(record), id_in(record, "former_id")
        if clip is not None and former is not None:
            settled.adopt(f"{former:032x}", f"{clip:032x}")
    for line in _lines(output_dir / "same.jsonl") if by_content else ():
        record = record_of(line)
        clip, alias = id_in(record), id_in(record, "stat_id")
        if clip is not None and alias is not None:
            settled._same[alias] = clip  # noqa: SLF001 - as above
    return settled


def failures_in(output_dir: Path) -> Iterator[tuple[int, FailureCode, dict[str, Any]]]:
    """The lines of failures.jsonl that name a clip and a known code. Blocks.

    Raises:
        OutputError: the file is there and cannot be read.
    """
    for line in _lines(output_dir / "failures.jsonl"):
        record = record_of(line)
        identity, code = id_in(record), _code(record)
        if identity is not None and code is not None:
            yield identity, code, record


def _lines(path: Path) -> Iterator[bytes]:
    try:
        for _, line in raw_lines(path):
            yield line
    except FileNotFoundError:
        return
    except OSError as error:
        where = printable(os.fspath(path))
        raise OutputError(f"{where}: cannot read what is done already: {error.strerror}") from None


def _code(record: dict[str, Any]) -> FailureCode | None:
    try:
        return FailureCode(record.get("code", ""))
    except ValueError:
        return None
