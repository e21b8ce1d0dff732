"""Writes files that appear complete or not at all, even among hostile files (main process)."""

import errno
import os
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

from captionfleet.system.regular_file import open_regular

__all__ = ["content_of", "draft_of", "put", "remove_drafts"]

_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
_MOST_READ_BYTES = 1 << 26
_EXCLUSIVELY = os.O_WRONLY | os.O_CREAT | os.O_EXCL


def content_of(path: str) -> bytes | None:
    """The content of a regular file; None for anything else."""
    try:
        with os.fdopen(open_regular(path), "rb") as file:
            return file.read(_MOST_READ_BYTES)
    except OSError:
        return None


def draft_of(path: str) -> Path:
    """The name of a file until it is complete; always the same, so that no draft is left over."""
    name = blake2b(os.fsencode(path), digest_size=8).hexdigest()
    return Path(path).with_name(f".{name}.captionfleet.new")


def put(path: str, text: bytes, *, is_new: bool) -> None:
    """Put a complete file in place; with `is_new`, only where nothing exists."""
    draft = draft_of(path)
    draft.unlink(missing_ok=True)
    try:
        with os.fdopen(open_regular(draft, _EXCLUSIVELY), "wb") as file:
            file.write(text)
        if is_new:
            _link(draft, path)
        else:
            draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def remove_drafts(path: Path) -> None:
    """Remove the draft of a killed export of this file; no other export is writing now."""
    with suppress(OSError), os.scandir(path.parent) as found:
        for entry in found:
            if entry.name.startswith(f".{path.name}.") and entry.name.endswith(".new"):
                Path(entry).unlink()


def _link(draft: Path, path: str) -> None:
    """Give the draft its final name, which must be unused."""
    try:
        os.link(draft, path)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        with os.fdopen(open_regular(path, _EXCLUSIVELY), "wb") as file:
            file.write(draft.read_bytes())
