"""Names the files that a worker writes for one clip, in its own folder (worker process)."""

import errno
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from captionfleet.errors import StoreError
from captionfleet.messages import Form

__all__ = ["drafts", "sha256_of"]

_USUAL = Form()
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def drafts(own: Path, form: Form = _USUAL) -> Iterator[tuple[Path, Path]]:
    """Yield the paths for video and sound, `own` with the form's endings; remove them on an error.

    Raises:
        StoreError: the folder cannot be written, as on a full disk.
    """
    video, audio = own.with_suffix(form.video_ending), own.with_suffix(form.audio_ending)
    try:
        yield video, audio
    except BaseException as error:
        for path in (video, audio):
            with suppress(OSError):
                path.unlink()
        if isinstance(error, OSError) and (error.errno in _FULL or not _is_writable(own)):
            raise StoreError(error.errno or 0, str(error.strerror)) from None
        raise  # PyAV's errors are also OSErrors: a damaged film must not count as a broken store.


def _is_writable(own: Path) -> bool:
    probe = own.with_suffix(".new")
    try:
        probe.touch()
        probe.unlink()
    except OSError:
        return False
    return True


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, as hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
