"""Records captions that are filed under a former id of their file: adopted.jsonl (main process)."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from captionfleet.ledger.files.disk import AppendFile, output_errors, sync_folder
from captionfleet.ledger.files.names import ADOPTED
from captionfleet.ledger.files.reading import id_in, record_at, record_of
from captionfleet.ledger.format.serialising import adopted_line, refiled_line
from captionfleet.messages import Adopted
from captionfleet.system.regular_file import open_regular
from captionfleet.telemetry import utc_now

__all__ = ["Adoptions"]


class Adoptions:
    """Captions that files adopted since captions.jsonl was last rewritten.

    The file outlasts a killed run. Memory: about 100 bytes for each line. All methods block, and
    raise OutputError.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / ADOPTED
        self._file: AppendFile | None = None
        self._at: dict[int, int] = {}  # former id → where its line begins
        if self._path.exists():
            self._open()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to rewrite."""
        return not self._at

    def add(self, adopted: Adopted) -> None:
        """Record an adoption."""
        file = self._file or self._open()
        self._at[int(adopted.former_id, 16)] = file.append(adopted_line(adopted, utc_now()))

    def refiled(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        """The lines of captions.jsonl, with adopted ones under their files' current ids."""
        with output_errors(self._path), os.fdopen(open_regular(self._path), "rb") as file:
            for line in lines:
                record = record_of(line)
                for key in ("clip_id", "stat_id"):
                    former = id_in(record, key)
                    if former is not None and former in self._at:
                        adopted = record_at(file, self._at[former])
                        yield refiled_line(record, key, adopted)
                        break
                else:
                    yield line

    def clear(self) -> None:
        """Remove the file, once captions.jsonl has the adopted captions under their new ids."""
        self.close()
        with output_errors(self._path):
            self._path.unlink(missing_ok=True)
            sync_folder(self._path.parent)
        self._at.clear()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self) -> AppendFile:
        self._file = AppendFile(self._path)
        for offset, line in self._file.lines():
            record = record_of(line)
            former = id_in(record, "former_id")
            if former is not None and id_in(record) is not None:
                self._at[former] = offset
        return self._file
