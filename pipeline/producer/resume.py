"""What earlier runs settled, read back from their output folder (main process, in a thread)."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio.to_thread
import orjson

from pipeline.errors import FailureCode, OutputError
from pipeline.messages import printable

__all__ = ["Settled", "load_settled"]

_OWN_START = b'{"clip_id":"'
_OWN_END = b"}\n"
_ID_AT = slice(len(_OWN_START), len(_OWN_START) + 32)
_QUOTE_AT = slice(_ID_AT.stop, _ID_AT.stop + 2)
_BUFFER_BYTES = 1 << 20
_MAX_LINE_BYTES = 1 << 24


class Settled:
    """The clips that need no work: captioned, or failed for good.

    About 100 bytes a clip. `ignored_lines` were no line of ours, whoever wrote them.
    """

    def __init__(self) -> None:
        self.ignored_lines = 0
        self._captioned: set[int] = set()
        self._standing: dict[int, FailureCode] = {}
        self._met: set[int] = set()

    def captioned(self, clip_id: str) -> bool:
        """Whether the clip has its caption."""
        return int(clip_id, 16) in self._captioned

    def standing(self, clip_id: str) -> FailureCode | None:
        """The permanent failure of this very file content, if an earlier run found one."""
        return self._standing.get(int(clip_id, 16))

    def meet(self, clip_id: str) -> None:
        """Note that a standing failure's file is still there."""
        self._met.add(int(clip_id, 16))

    def keeps_failure(self, clip_id: str, *, is_complete: bool) -> bool:
        """Whether an earlier run's failure line still tells the truth after this run.

        A run that got through everything keeps the standing failures it met; one that did not
        keeps all that were not captioned.
        """
        identity = int(clip_id, 16)
        return identity in self._met if is_complete else identity not in self._captioned


async def load_settled(output_dir: Path) -> Settled:
    """Read captions.jsonl and failures.jsonl; lines that make no sense are counted and ignored.

    Raises:
        OutputError: a file is there and cannot be read.
    """
    return await anyio.to_thread.run_sync(_load, output_dir)


def _load(output_dir: Path) -> Settled:
    settled = Settled()
    for line in _lines(output_dir / "captions.jsonl"):
        identity = _own_id(line) or _any_id(_record(line))
        if identity is None:
            settled.ignored_lines += 1
        else:
            settled._captioned.add(identity)  # noqa: SLF001 - this function builds it
    for line in _lines(output_dir / "failures.jsonl"):
        _read_failure(settled, _record(line))
    return settled


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb", buffering=_BUFFER_BYTES) as file:
            while line := file.readline(_MAX_LINE_BYTES):
                yield line
    except FileNotFoundError:
        return
    except OSError as error:
        where = printable(os.fspath(path))
        raise OutputError(f"{where}: cannot read what is done already: {error.strerror}") from None


def _own_id(line: bytes) -> int | None:
    # A line as the sink writes it: parsing a million of them as JSON would take ten times longer.
    if line.startswith(_OWN_START) and line.endswith(_OWN_END) and line[_QUOTE_AT] == b'",':
        return _number(line[_ID_AT])
    return None


def _record(line: bytes) -> dict[str, Any]:
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError:
        return {}
    return record if isinstance(record, dict) else {}


def _any_id(record: dict[str, Any]) -> int | None:
    text = record.get("clip_id")
    if not isinstance(text, str) or len(text) != _ID_AT.stop - _ID_AT.start:
        return None
    return _number(text.encode())


def _number(digits: bytes) -> int | None:
    try:
        return int(digits, 16)
    except ValueError:
        return None


def _read_failure(settled: Settled, record: dict[str, Any]) -> None:
    identity, code = _any_id(record), _code(record)
    if identity is None or code is None:
        settled.ignored_lines += 1
    elif code.permanent:
        settled._standing[identity] = code  # noqa: SLF001 - as in _load
    else:
        settled._standing.pop(identity, None)  # noqa: SLF001 - as in _load


def _code(record: dict[str, Any]) -> FailureCode | None:
    try:
        return FailureCode(record.get("code", ""))
    except ValueError:
        return None
