"""Writes an export that is one file, such as a table, unless somebody edited it (main process)."""

import os
from collections.abc import Iterator
from functools import partial
from hashlib import blake2b, file_digest
from pathlib import Path

from captionfleet.config.sections.export import Overwrite
from captionfleet.export.owned import Register, Written
from captionfleet.ledger.files.disk import create_folder, replace_atomically
from captionfleet.system.regular_file import open_regular

__all__ = ["write_file"]

_new_digest = partial(blake2b, digest_size=16)


def write_file(
    path: Path, parts: Iterator[bytes], register: Register, overwrite: Overwrite
) -> Written:
    """Replace the file by one of these parts, which are not asked for if it is left as it is.

    Raises:
        OutputError: it cannot be written, or exists, and no export wrote it.
    """
    create_folder(path.parent)
    name, known = os.fspath(path), register.digest(os.fspath(path))
    # Without a hash, the last export was killed, or of a version that recorded none.
    if path.is_file() and register.owner(name) is not None and overwrite != "always":
        if overwrite == "never":
            return Written.KEPT
        if known and _digest_of(path) != known:
            return Written.EDITED
    digest = _new_digest()

    def hashed() -> Iterator[bytes]:
        for part in parts:
            digest.update(part)
            yield part

    with register.claim(name):
        replace_atomically(path, hashed())
        register.settle(name, digest.digest())
    return Written.WRITTEN


def _digest_of(path: Path) -> bytes:
    """The hash of the file's content; empty if it cannot be read."""
    try:
        with os.fdopen(open_regular(os.path.realpath(path)), "rb") as file:
            return file_digest(file, _new_digest).digest()
    except OSError:
        return b""
