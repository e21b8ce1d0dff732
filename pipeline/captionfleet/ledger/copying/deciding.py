"""Decides whether a bucket's copy belongs to an output folder; pure (main process)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from captionfleet.ledger.files.names import CAPTIONS, FAILURES

__all__ = [
    "Copied",
    "Decision",
    "Known",
    "Lines",
    "can_begin_alone",
    "copied_from",
    "decide",
    "known_from",
]

_FORMAT = 1
_ID_CHARS = 32
_LINES = (CAPTIONS, FAILURES)


@dataclass(frozen=True, slots=True)
class Copied:
    """The bucket's record of the copy in it: whose copy it is, and which files it has.

    `folder` is the output folder's id, `writer` the run that last wrote to the copy. `files` maps
    names to sizes in bytes; 0 marks a file whose first upload was about to begin.
    """

    folder: str
    writer: str
    files: Mapping[str, int] = field(default_factory=dict)
    copied_at_utc: str = ""

    @property
    def has_lines(self) -> bool:
        """Whether the copy holds captions or failures."""
        return any(self.files.get(name) for name in _LINES)

    def as_dict(self) -> dict[str, Any]:
        """The record as JSON, as the bucket holds it."""
        return {
            "format": _FORMAT,
            "folder": self.folder,
            "writer": self.writer,
            "copied_at_utc": self.copied_at_utc,
            "files": dict(self.files),
        }


@dataclass(frozen=True, slots=True)
class Known:
    """The folder's own record of a copy; `writers` are the runs that it knows to have written it.

    `stamps` are the files' sizes and change times at the last copy. `is_restoring` marks a folder
    whose restore was interrupted.
    """

    writers: tuple[str, ...] = ()
    stamps: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    is_restoring: bool = False

    def as_dict(self) -> dict[str, Any]:
        """The record as JSON, as the folder holds it."""
        stamps = {name: list(stamp) for name, stamp in self.stamps.items()}
        return {"writers": list(self.writers), "restoring": self.is_restoring, "stamps": stamps}


@dataclass(frozen=True, slots=True)
class Lines:
    """The lines in an output folder; `captions_bytes` is 0 if captions.jsonl is missing."""

    captions_bytes: int
    has_failures: bool


class Decision(Enum):
    """What a run does with the copy, or why the run cannot begin."""

    BEGIN = "no copy is there yet"
    GO_ON = "the copy is the folder's own"
    RESTORE = "the folder is empty, and the copy is not"
    RESTORE_CAPTIONS = "the folder has lost its captions, and its own copy has them"
    FOREIGN = "it holds the copy of another output folder"
    AHEAD = "another machine continued from that copy, so it holds lines that this folder lacks"
    HALF = "its restore was interrupted, and the folder has got captions of its own since"
    OCCUPIED = "it holds captions that no run copied there"

    @property
    def advice(self) -> str:
        """What the user can do where the run cannot begin; else empty."""
        return _ADVICE.get(self, "")


_ADVICE = {
    Decision.FOREIGN: "name another prefix, or an empty output folder to continue from the copy",
    Decision.AHEAD: "name an empty output folder to continue from the copy, or another prefix",
    Decision.HALF: "name another prefix, or an empty output folder to continue from the copy",
    Decision.OCCUPIED: "name another prefix",
}


def decide(
    folder: str,
    known: Known,
    remote: Copied | None,
    lines: Lines,
    *,
    is_occupied: bool = False,
) -> Decision:
    """Decide what to do at the start of a run.

    Args:
        folder: The id of the output folder; empty where it has none yet.
        known: The folder's own record of this copy.
        remote: The bucket's record; None where it has none.
        lines: What the folder holds.
        is_occupied: Whether the bucket holds captions, whatever its record says.
    """
    if remote is None:
        return Decision.OCCUPIED if is_occupied else Decision.BEGIN
    has_copied = bool(remote.files.get(CAPTIONS)) or is_occupied
    if known.is_restoring:  # captions come last, so those there are the copy's, or made since
        is_half = lines.captions_bytes not in {0, remote.files.get(CAPTIONS)}
        return Decision.HALF if is_half else Decision.RESTORE
    is_known = folder == remote.folder and remote.writer in known.writers
    is_empty = not lines.captions_bytes and not lines.has_failures
    if is_empty and (remote.has_lines or has_copied or not is_known):
        return Decision.RESTORE
    if folder != remote.folder:
        return Decision.FOREIGN
    if not is_known:
        return Decision.AHEAD
    is_lost = has_copied and not lines.captions_bytes
    return Decision.RESTORE_CAPTIONS if is_lost else Decision.GO_ON


def can_begin_alone(known: Known, lines: Lines) -> bool:
    """Whether a run need not wait for a bucket that cannot be reached.

    The folder has written to the copy before, and has lost no captions since.
    """
    if not known.writers or known.is_restoring:
        return False
    copied_bytes, _ = known.stamps.get(CAPTIONS, (0, 0))
    return lines.captions_bytes > 0 or (lines.has_failures and not copied_bytes)


def copied_from(record: Mapping[str, Any], takes: Callable[[str], bool]) -> Copied | None:
    """Parse a bucket's record; None if it is not valid.

    Files count only if `takes` accepts their names, because other programs can write the record.
    """
    folder, writer = record.get("folder"), record.get("writer")
    if record.get("format") != _FORMAT or not _is_id(folder) or not _is_id(writer):
        return None
    files = record.get("files")
    sizes = {
        name: size
        for name, size in (files.items() if isinstance(files, dict) else ())
        if takes(name) and type(size) is int and size >= 0
    }
    at = record.get("copied_at_utc")
    return Copied(str(folder), str(writer), sizes, at if isinstance(at, str) else "")


def known_from(record: Any) -> Known:
    """Parse a folder's record of a copy; an invalid one counts as empty."""
    if not isinstance(record, dict):
        return Known()
    writers, stamps = record.get("writers"), record.get("stamps")
    return Known(
        tuple(one for one in (writers if isinstance(writers, list) else ()) if _is_id(one)),
        {
            name: (int(stamp[0]), int(stamp[1]))
            for name, stamp in (stamps.items() if isinstance(stamps, dict) else ())
            if isinstance(stamp, list) and len(stamp) == 2 and all(type(n) is int for n in stamp)  # noqa: PLR2004 - size and time
        },
        record.get("restoring") is True,
    )


def _is_id(value: object) -> bool:
    return isinstance(value, str) and len(value) == _ID_CHARS and value.isalnum()
