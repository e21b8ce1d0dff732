"""Hashes the bytes of files, to identify them under any name (main process, in a thread)."""

import os
import stat
from hashlib import blake2b

import anyio
import anyio.to_thread

from captionfleet.errors import FailureCode
from captionfleet.messages import Source
from captionfleet.producer.walking.found import Unusable, unusable
from captionfleet.telemetry import monotonic_s

__all__ = ["read_content"]

_BLOCK_BYTES = 1 << 20
_DIGEST_BYTES = 16
_GRACE_S = 5.0


async def read_content(source: Source, timeout_s: float) -> bytes | Unusable:
    """The digest of the whole unchanged file, or why there is none.

    A read that the file system never answers is abandoned: at most one for each file.
    """
    try:
        with anyio.fail_after(timeout_s + _GRACE_S):
            return await anyio.to_thread.run_sync(_read, source, timeout_s, abandon_on_cancel=True)
    except TimeoutError:
        return _too_slow(source, timeout_s)


def _read(source: Source, timeout_s: float) -> bytes | Unusable:
    until_s = monotonic_s() + timeout_s
    digest = blake2b(digest_size=_DIGEST_BYTES)
    try:
        # O_NONBLOCK: a FIFO may have taken the file's place.
        handle = os.open(source.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(handle, "rb", buffering=0) as file:
            while _is_same(source, handle) and (block := file.read(_BLOCK_BYTES)):
                digest.update(block)
                if monotonic_s() > until_s:
                    return _too_slow(source, timeout_s)
            if not _is_same(source, handle):
                changed = "the file changed since it was found"
                return Unusable(source, FailureCode.SOURCE_CHANGED, changed)
    except FileNotFoundError:
        return Unusable(source, FailureCode.SOURCE_CHANGED, "the file vanished")
    except OSError as error:
        return unusable(source, error)
    return digest.digest()


def _is_same(source: Source, handle: int) -> bool:
    facts = os.fstat(handle)
    found = (source.size_bytes, source.mtime_ns)
    return stat.S_ISREG(facts.st_mode) and (facts.st_size, facts.st_mtime_ns) == found


def _too_slow(source: Source, timeout_s: float) -> Unusable:
    return Unusable(source, FailureCode.PREPARE_TIMEOUT, f"not read within {timeout_s:g} s")
