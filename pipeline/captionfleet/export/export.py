"""Performs one export of an output folder, from lines to finished files (main process)."""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from captionfleet.config import CaptionConfig, ExportConfig
from captionfleet.config.filters import parse_filter
from captionfleet.errors import ConfigError
from captionfleet.export.card import readme_card
from captionfleet.export.choice import Choice, Item
from captionfleet.export.owned import Register, Written, open_register
from captionfleet.export.shards import write_shards
from captionfleet.export.sidecars import write_sidecars
from captionfleet.export.tables import (
    csv_parts,
    jsonl_parts,
    parquet_parts,
    require_pyarrow,
    training_parts,
)
from captionfleet.export.whole_tables import write_file
from captionfleet.ledger.files.index import State
from captionfleet.ledger.files.names import CAPTIONS, FAILURES
from captionfleet.ledger.past_runs import read_run
from captionfleet.ledger.stored_media import store_of
from captionfleet.messages import for_terminal, printable
from captionfleet.names import exact_bytes
from captionfleet.producer.current import find_lines
from captionfleet.telemetry import Steps

__all__ = ["Exported", "check_export", "export_lines"]

_SIDECARS = frozenset({"txt", "srt", "vtt"})
_TABLES: dict[str, tuple[str, Callable[[Iterable[Item]], Iterator[bytes]]]] = {
    "csv": ("captions.csv", csv_parts),
    "jsonl": (CAPTIONS, jsonl_parts),
    "parquet": ("captions.parquet", parquet_parts),
    "hf": ("hf", parquet_parts),
    "kohya": ("kohya.jsonl", training_parts),
    "musubi": ("musubi.jsonl", training_parts),
}
_TRAINERS = frozenset({"kohya", "musubi"})
_OF_FAILURES = frozenset({"csv", "jsonl", "parquet"})


@dataclass(frozen=True, slots=True)
class Exported:
    """The result of an export: counts by words, the target, and the lines left out."""

    to: str
    target: str
    counts: Counter[str]
    left_out: dict[State, int]

    def __str__(self) -> str:
        """One line, and one for each kind of lines that were left out."""
        parts = [f"{number:,} {words}" for words, number in self.counts.items() if number]
        lines = [f"{self.to}: {', '.join(parts) or 'nothing'} -> {for_terminal(self.target)}"]
        lines += [
            f"left out: {number:,} lines {state.meaning}"
            for state, number in self.left_out.items()
            if number and state is not State.REPLACED
        ]
        return "\n".join(lines)


def check_export(export: ExportConfig) -> None:
    """Make sure that this export is possible, before anything is paid for.

    Raises:
        ConfigError: it is not.
    """
    if export.to in {"parquet", "hf"}:
        require_pyarrow()
    if _is_of_failures(export) and export.to not in _OF_FAILURES:
        raise ConfigError(
            f"code=: failed clips have no caption to export as {export.to}: take csv, jsonl or "
            "parquet"
        )


def export_lines(
    folder: Path,
    export: ExportConfig,
    wording: CaptionConfig,
    steps: Steps | None = None,
    *,
    checks_names: bool = False,
) -> Exported:
    """Write one export. Blocks; after a kill, calling it again completes the export.

    Args:
        folder: the output folder.
        export: what to write.
        wording: how to edit captions.
        steps: counts for the progress bar.
        checks_names: refuse a request that no line is of; a run may have had none of it yet.

    Raises:
        ConfigError: the folder is not an output folder, or holds no line that can be exported.
        OutputError: a file cannot be written, or is not the export's own.
    """
    check_export(export)
    name = FAILURES if _is_of_failures(export) else CAPTIONS
    with find_lines(folder, name, steps) as found:
        counts = found.index.counts()
        if name == CAPTIONS and not export.all:
            _require_current(folder, counts)
        target = _target(folder, export)
        with open_register(folder, f"{export.to} {target}") as register:
            if checks_names and name == CAPTIONS:
                _require_requests(found.index.requests(), export)
            choice = Choice(found, export, wording, steps)
            made = _make(folder, choice, export, register, target)
        return Exported(export.to, printable(target), made, choice.left_out())


def _make(
    folder: Path, choice: Choice, export: ExportConfig, register: Register, target: str
) -> Counter[str]:
    if export.to in _SIDECARS:
        made = write_sidecars(choice, export, register)
        return Counter({f"files {kind}": number for kind, number in made.items()})
    if export.to == "webdataset":
        store = export.media or store_of(read_run(folder))
        return write_shards(choice, export, register, Path(target), store)
    path = Path(target) / "data" / "train.parquet" if export.to == "hf" else Path(target)
    rows: Counter[str] = Counter()
    items = _nameable(choice.items(), rows) if export.to in _TRAINERS else choice.items()
    files = {path: _TABLES[export.to][1](_counted(items, rows))}
    if export.to == "hf":
        files[Path(target) / "README.md"] = iter([readme_card()])
    for each, parts in files.items():
        result = write_file(each, parts, register, export.overwrite)
        rows[f"files {result}"] += result is not Written.WRITTEN
    return rows


def _counted(items: Iterator[Item], rows: Counter[str]) -> Iterator[Item]:
    for item in items:
        rows["lines"] += 1
        yield item


def _nameable(items: Iterator[Item], rows: Counter[str]) -> Iterator[Item]:
    """Lines whose film has a valid UTF-8 name; JSON, and so trainers, cannot hold others."""
    for item in items:
        if item.film and not exact_bytes(item.film):
            yield item
        else:
            rows["left out: JSON cannot hold the names of their films"] += 1


def _target(folder: Path, export: ExportConfig) -> str:
    """The absolute path of the export."""
    if export.out is not None:
        return os.path.abspath(export.out)  # noqa: PTH100 - links stay as they are
    if export.to in _SIDECARS:
        return "beside the films"
    name = export.to if export.to == "webdataset" else _TABLES[export.to][0]
    return os.path.abspath(folder / "export" / name)  # noqa: PTH100 - as above


def _is_of_failures(export: ExportConfig) -> bool:
    return any(parse_filter(text).key == "code" for text in export.where)


def _require_requests(there: set[str], export: ExportConfig) -> None:
    """Refuse a filter whose requests have no line at all: most likely a name is mistyped."""
    for one in map(parse_filter, export.where):
        is_known = one.key != "request" or one.operator == "!=" or there & set(one.values)
        if there and not is_known:
            names = ", ".join(sorted(filter(None, there))) or "none has a name"
            wanted = ", ".join(one.values)
            raise ConfigError(f"request={wanted}: no line is of a request of that name ({names})")


def _require_current(folder: Path, counts: dict[State, int]) -> None:
    """Refuse to replace a good export by an empty one because a disk is missing."""
    if counts and not counts.get(State.CURRENT):
        where = printable(os.fspath(folder))
        raise ConfigError(
            f"{where}: none of the captioned films is at its path: is the disk mounted? (--all "
            "exports the captions anyway)"
        )
