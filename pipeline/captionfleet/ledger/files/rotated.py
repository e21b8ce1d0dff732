"""Detects captions that were rotated away or compressed (main process, in a thread)."""

import os
from pathlib import Path

from captionfleet.errors import OutputError
from captionfleet.ledger.files.names import CAPTIONS
from captionfleet.messages import printable

__all__ = ["require_no_captions"]


def require_no_captions(output_dir: Path, ignored_lines: int) -> None:
    """Refuse a folder whose captions were compressed or renamed: a run would pay again. Blocks.

    Raises:
        OutputError: captions.jsonl holds no captions, or was rotated away.
    """
    where = printable(os.fspath(output_dir / CAPTIONS))
    if ignored_lines:
        raise OutputError(
            f"{where}: no line in it names a clip: is it compressed, or not UTF-8? Restore it, or "
            "choose another folder with --out"
        )
    try:
        rotated = sorted(path.name for path in output_dir.iterdir() if _is_rotated(path))
    except OSError:
        return
    if rotated:
        raise OutputError(
            f"{where}: it holds no captions, but {printable(rotated[0])} is beside it: put that "
            f"back, or move it to another folder to start from nothing"
        )


def _is_rotated(path: Path) -> bool:
    ending = path.name.removeprefix(CAPTIONS)
    is_named_so = ending != path.name and ending[:1] in {".", "-", "_", "~"}
    is_torn_line = ending.startswith(".torn-")
    return is_named_so and not is_torn_line and path.is_file() and path.stat().st_size > 0
