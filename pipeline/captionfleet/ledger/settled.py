"""Reads which clips earlier runs settled, from their output folder (main process, in a thread)."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any

import anyio.to_thread

from captionfleet.errors import FailureCode
from captionfleet.ledger.captioned import Captioned, captioned_in
from captionfleet.ledger.files.names import ADOPTED, CAPTIONS, SAME
from captionfleet.ledger.files.reading import id_in, record_of, text_in
from captionfleet.ledger.files.rotated import require_no_captions
from captionfleet.ledger.past_lines import failures_in, past_lines
from captionfleet.ledger.renaming import Made, Renames
from captionfleet.messages import Clip

__all__ = ["Settled", "load_settled"]

_MAX_FINGERPRINTS = 128  # enough for a few requests, changed a few times
_OTHERS = "others."  # no request can have this name


class Settled:
    """Clips that need no work: captioned, or failed permanently; each request by itself.

    Memory: about 100 bytes for each clip and request, twice that for lines made with `identity =
    "content"`, and 100 for each other name of a clip.

    `ignored_lines` counts lines of captions.jsonl that name no clip, and `repeated_lines` those
    whose clip has an earlier line of the same request. `replaces` is set once a clip is met whose
    caption does not count. `folder` is where this was read; None for a new folder.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder
        self.ignored_lines = 0
        self.repeated_lines = 0
        self.replaces = False
        self._captioned: dict[Made, set[int]] = {}
        self._accepted: Mapping[str, frozenset[str]] = {}
        self._standing: dict[str, dict[int, tuple[FailureCode, int]]] = defaultdict(dict)
        self._same: dict[int, int] = {}
        self._met: set[tuple[str, int]] = set()
        self._failed_before: set[tuple[str, int]] = set()
        self._adopted: set[int] = set()
        self._again: Mapping[str, AbstractSet[int]] = {}
        self._others: frozenset[str] = frozenset()

    @property
    def fingerprints(self) -> dict[str, frozenset[str]]:
        """The requests behind the captions, by name, as far as lines record them.

        A name has no fingerprint where all its captions are from versions that wrote none.
        """
        found: dict[str, frozenset[str]] = {}
        for (request, made_by), ids in self._captioned.items():
            if ids:
                known = frozenset({made_by} if made_by else ())
                found[request] = found.get(request, frozenset()) | known
        return found

    def rename(self, names: Collection[str], own: Mapping[str, Collection[str]]) -> Renames:
        """Count captions of requests that have a new name in this job under that name.

        Args:
            names: The names of all requests of the job; captions under these stay where they are.
            own: The fingerprints of each of them.

        Returns:
            The new name by former name and fingerprint.
        """
        renames: dict[Made, str] = {}
        for former, made_by in [*self._captioned]:
            if former in names or not made_by:
                continue
            alike = [name for name in names if made_by in own[name]]
            free = [name for name in alike if (name, made_by) not in self._captioned]
            # Two requests of one job may be identical: each keeps its captions.
            new = next(iter(free or (alike if not former else [])), None)
            if new is not None:
                renames[former, made_by] = new
                ids = self._captioned.pop((former, made_by))
                self._captioned.setdefault((new, made_by), set()).update(ids)
        return renames

    def accept(self, fingerprints: Mapping[str, frozenset[str]]) -> None:
        """Count only captions of these fingerprints, and those without one."""
        self._accepted = fingerprints

    def leave(self, others: Iterable[str]) -> None:
        """Keep everything of these requests, which this run does not send."""
        self._others = frozenset(others)

    def ask_again(self, clips: Mapping[str, AbstractSet[int]]) -> None:
        """No longer count captions of these requests and clips, with any fingerprint."""
        self._again = clips

    def captioned(self, clip_id: str, request: str = "") -> bool:
        """Whether the clip has its caption of this request; marks the clip as met."""
        self.replaces = self.replaces or self.is_replaced(clip_id, request)
        return self.has_counting(clip_id, request)

    def has_counting(self, clip_id: str, request: str = "") -> bool:
        """The same, without marking the clip as met."""
        return self._counts(clip_id, request) is True

    @property
    def has_captions(self) -> bool:
        """Whether any clip has a caption."""
        return any(self._captioned.values())

    def has_caption(self, clip_id: str) -> bool:
        """Whether the clip has a caption, of any request."""
        identity = int(clip_id, 16)
        same = self._same.get(identity, identity)
        return any(identity in ids or same in ids for ids in self._captioned.values())

    def is_replaced(self, clip_id: str, request: str = "") -> bool:
        """Whether the clip has a caption of this request that does not count."""
        return self._counts(clip_id, request) is False

    def _counts(self, clip_id: str, request: str) -> bool | None:
        """Whether the clip's caption of this request counts; None if it has none."""
        accepted, identity = self._accepted.get(request), int(clip_id, 16)
        same = self._same.get(identity, identity)
        again = self._again.get(request)
        if again and not again.isdisjoint((identity, same)):
            return False
        is_there: bool | None = None
        for (name, made_by), ids in self._captioned.items():
            if name == request and (identity in ids or same in ids):
                if not made_by or accepted is None or made_by in accepted:
                    return True
                is_there = False
        return is_there

    @property
    def holds_any(self) -> bool:
        """Whether any clip is settled."""
        return self.has_captions or any(self._standing.values())

    def knows(self, clip_id: str) -> bool:
        """Whether the clip has a caption or failed permanently, for any request."""
        is_failed = any(self._failed(clip_id, request) for request in self._standing)
        return is_failed or self.has_caption(clip_id)

    def is_adoptable(self, former_id: str) -> bool:
        """Whether this id is known and no other clip has adopted it."""
        return int(former_id, 16) not in self._adopted and self.knows(former_id)

    def adopt(self, former_id: str, clip_id: str) -> bool:
        """Assign the caption or failure under a former id to the clip; True if it is a caption.

        Of several captions, one that counts is taken.
        """
        former, own = int(former_id, 16), int(clip_id, 16)
        self._adopted.add(former)
        if not any(self._counts(clip_id, request) for request, _ in self._captioned):
            self._same[own] = self._same.get(former, former)
        return self.has_caption(former_id)

    def standing(self, clip_id: str, request: str = "") -> FailureCode | None:
        """The permanent failure of this file content, if an earlier run found one."""
        found = self._failed(clip_id, request)
        return found[0] if found else None

    def stands_failed(self, clip_id: str, retried: Collection[str], request: str = "") -> bool:
        """Whether the clip failed permanently, and neither its code nor "all" is to be retried."""
        code = self.standing(clip_id, request)
        return code is not None and code not in retried and "all" not in retried

    def meet(self, clip_id: str, request: str = "") -> None:
        """Record that the file of a standing failure still exists."""
        found = self._failed(clip_id, request)
        if found:
            self.keep(found[1], request)

    def failed_before(self, clip_id: str, request: str = "") -> bool:
        """Whether the clip was failed at the end of an earlier run, permanently or not."""
        return (request, int(clip_id, 16)) in self._failed_before

    def is_same(self, clip: Clip) -> bool:
        """Whether an earlier run recorded that this file holds this clip."""
        return self._same.get(int(clip.stat_id, 16)) == int(clip.clip_id, 16)

    def _failed(self, clip_id: str, request: str) -> tuple[FailureCode, int] | None:
        identity, standing = int(clip_id, 16), self._standing.get(request, {})
        return standing.get(identity) or standing.get(self._same.get(identity, -1))

    def keep(self, identity: int, request: str = "") -> None:
        """Keep the failure line of this clip and request."""
        self._met.add((request, identity))

    def keeps_failure(self, clip_id: str, request: str = "", *, is_complete: bool) -> bool:
        """Whether an earlier run's failure line is still true after this run.

        A complete run keeps the standing failures that it met, and those outside its sources; an
        incomplete one keeps all that were not captioned.
        """
        if request in self._others:
            return True
        if is_complete:
            return (request, int(clip_id, 16)) in self._met
        return not self.captioned(clip_id, request)

    def _keep(self, line: Captioned) -> None:
        ids = self._captioned.setdefault(self._made(line), set())
        known = self._forget(line, ids)
        ids.add(line.clip)
        if line.alias is not None:
            ids.add(line.alias)
        self.repeated_lines += known

    def _made(self, line: Captioned) -> Made:
        """The request of a caption; their number, and so the memory, is limited."""
        own = line.request, line.fingerprint
        if own in self._captioned or len(self._captioned) < _MAX_FINGERPRINTS:
            return own
        is_known = any(name == line.request for name, _ in self._captioned)
        return line.request if is_known else _OTHERS, _OTHERS

    def _forget(self, line: Captioned, keeper: set[int]) -> bool:
        """Remove a clip from all but its latest caption of a request; return whether it had one."""
        own = {line.clip} if line.alias is None else {line.clip, line.alias}
        is_known = not own.isdisjoint(keeper)
        for (request, _), ids in self._captioned.items():
            if ids is not keeper and request == line.request and not own.isdisjoint(ids):
                ids.difference_update(own)
                is_known = True
        return is_known

    def _fail(self, identity: int, code: FailureCode, record: dict[str, Any]) -> None:
        alias, request = id_in(record, "stat_id"), text_in(record, "request")
        for one in (identity, identity if alias is None else alias):
            self._failed_before.add((request, one))
            if code.permanent:
                self._standing[request][one] = code, identity
            else:
                self._standing[request].pop(one, None)


async def load_settled(output_dir: Path, *, by_content: bool = False) -> Settled:
    """Read what earlier runs settled; invalid lines are ignored.

    With `by_content`, also read which files hold a known clip under another name.

    Raises:
        OutputError: a file is there and cannot be read.
    """
    return await anyio.to_thread.run_sync(_load, output_dir, by_content)


def _load(output_dir: Path, by_content: bool) -> Settled:  # noqa: FBT001 - passed by position
    settled = Settled(output_dir)
    for line in past_lines(output_dir / CAPTIONS):
        captioned = captioned_in(line)
        if captioned is not None:
            settled._keep(captioned)  # noqa: SLF001 - this function builds it
        elif not line.isspace():
            settled.ignored_lines += 1
    if not settled.has_captions:
        require_no_captions(output_dir, settled.ignored_lines)
    for identity, code, record in failures_in(output_dir):
        settled._fail(identity, code, record)  # noqa: SLF001 - as above
    for line in past_lines(output_dir / ADOPTED):
        record = record_of(line)
        clip, former = id_in(record), id_in(record, "former_id")
        if clip is not None and former is not None:
            settled.adopt(f"{former:032x}", f"{clip:032x}")
    for line in past_lines(output_dir / SAME) if by_content else ():
        record = record_of(line)
        clip, alias = id_in(record), id_in(record, "stat_id")
        if clip is not None and alias is not None:
            settled._same[alias] = clip  # noqa: SLF001 - as above
    return settled
