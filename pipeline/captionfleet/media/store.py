"""Prepared media on disk, found again by what they were made of (worker processes).

An entry is up to three files: KEY.mp4 (or .mjpeg, JPEGs one after the other), KEY.ogg (or .wav,
.mp3) and KEY.json. The facts come into place last, so an entry without them does not exist,
whenever a process died.

What a clip needs it holds by names of its own, hard links to the entry's files: whoever evicts
the entry takes nothing from the clip.
"""

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import orjson

from captionfleet.errors import StoreError
from captionfleet.messages import Clip, Damage, Form, MediaFacts, MediaSpec

__all__ = ["MediaStore", "StoredMedia", "media_key", "sha256_of"]

# Raised whenever the bytes that a worker makes of the same source change.
_RECIPE = 4
_USUAL = Form()
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
# Facts that entries of earlier versions lack; their defaults are true of those.
_LATER_FACTS = {"video_as", "audio_as", "audio_format", "jpeg_quality", "frame_bytes"}
_NO_LINKS = {errno.EPERM, errno.EXDEV, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOSYS}


@dataclass(frozen=True, slots=True)
class StoredMedia:
    """One clip's own names of its media, and what is known of them.

    `key` names their entry. The two times are what making them took, None where they were found.
    """

    key: str
    video: Path
    audio: Path | None
    facts: MediaFacts
    from_store: bool
    decode_s: float | None = None
    encode_s: float | None = None


def media_key(clip: Clip, spec: MediaSpec) -> str:
    """What an entry is found by: the source as it was found, the window and the settings.

    The usual form is left out, so that entries of versions that knew no other are found.
    """
    source = clip.source
    path = os.fsencode(os.path.realpath(source.path)).hex()
    made = [_RECIPE, path, source.size_bytes, source.mtime_ns, clip.start_s, clip.end_s]
    settings = asdict(spec)
    if spec.form == Form():
        del settings["form"]
    return hashlib.blake2b(orjson.dumps([*made, settings]), digest_size=20).hexdigest()


class MediaStore:
    """A folder of entries that any number of processes read and write at once, for one clip.

    Args:
        folder: the store.
        hold: the clip's own name in the same file system; endings are added. By default one
            that nobody clears away.
        form: how the clip is to be sent, which decides the endings.
    """

    def __init__(self, folder: Path, hold: Path | None = None, form: Form = _USUAL) -> None:
        self._folder = folder
        self._form = form
        hold = hold or folder / "held" / os.urandom(8).hex()
        self._video = hold.with_suffix(form.video_ending)
        self._audio = hold.with_suffix(form.audio_ending)
        self._draft = hold.with_suffix(".new")

    def find(self, key: str) -> StoredMedia | None:
        """Take hold of an entry, if it is there and its bytes are those that were written."""
        base = self._base(key)
        try:
            facts = _read_facts(base.with_suffix(".json"))
            _link(base.with_suffix(self._form.video_ending), self._video)
            intact = sha256_of(self._video) == facts.video_sha256
            if facts.has_audio:
                _link(base.with_suffix(self._form.audio_ending), self._audio)
                intact = intact and sha256_of(self._audio) == facts.audio_sha256
        except (OSError, ValueError, TypeError):
            intact = False
        if not intact:
            self._let_go()
            return None
        with suppress(OSError):
            os.utime(base.with_suffix(".json"))  # used last, evicted last
        return self._media(key, facts, from_store=True)

    @contextmanager
    def drafts(self) -> Iterator[tuple[Path, Path]]:
        """The clip's own names, to write pictures and sound under; removed if the block fails.

        Raises:
            StoreError: there is no place to write.
        """
        with _store_errors():
            self._video.parent.mkdir(parents=True, exist_ok=True)
        self._let_go()  # what an earlier try left may share its bytes with an entry
        try:
            yield self._video, self._audio
        except BaseException as error:
            self._let_go()
            if isinstance(error, OSError) and (error.errno in _FULL or not self._is_writable()):
                raise StoreError(error.errno or 0, str(error.strerror)) from None
            raise  # PyAV's errors are OSErrors too: a film must not pass for a broken store

    def keep(self, key: str, video: Path, audio: Path | None, facts: MediaFacts) -> StoredMedia:
        """Make an entry of the drafts, which stay the clip's own.

        Raises:
            StoreError: that failed.
        """
        base = self._base(key)
        with _store_errors():
            base.parent.mkdir(parents=True, exist_ok=True)
            self._publish(video, base.with_suffix(self._form.video_ending))
            if audio is not None:
                self._publish(audio, base.with_suffix(self._form.audio_ending))
            self._draft.write_bytes(orjson.dumps(asdict(facts)))
            self._draft.replace(base.with_suffix(".json"))
        return self._media(key, facts, from_store=False)

    def _publish(self, own: Path, target: Path) -> None:
        _link(own, self._draft)
        self._draft.replace(target)

    def _media(self, key: str, facts: MediaFacts, *, from_store: bool) -> StoredMedia:
        audio = self._audio if facts.has_audio else None
        return StoredMedia(key, self._video, audio, facts, from_store)

    def _is_writable(self) -> bool:
        try:
            self._draft.touch()
            self._draft.unlink()
        except OSError:
            return False
        return True

    def _let_go(self) -> None:
        for path in (self._video, self._audio, self._draft):
            with suppress(OSError):
                path.unlink()

    def _base(self, key: str) -> Path:
        return self._folder / key[:2] / key


def _link(source: Path, target: Path) -> None:
    """Give a file a second name, or a copy where the file system knows no links."""
    target.unlink(missing_ok=True)  # of an earlier try
    try:
        target.hardlink_to(source)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        target.write_bytes(source.read_bytes())


@contextmanager
def _store_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(error.errno or 0, str(error.strerror)) from None


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, as hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_facts(path: Path) -> MediaFacts:
    stored = orjson.loads(path.read_bytes())
    if not _has_fields_of(MediaFacts, stored) or not _has_fields_of(Damage, stored["damage"]):
        raise ValueError
    stored["damage"] = Damage(**stored["damage"])
    for name in ("frame_times_s", "frame_bytes"):
        stored[name] = tuple(stored.get(name, ()))
    return MediaFacts(**stored)


def _has_fields_of(kind: type[MediaFacts | Damage], stored: object) -> bool:
    """Whether this program wrote it: an earlier version may have known fewer facts."""
    known = {field.name for field in fields(kind)}
    return isinstance(stored, dict) and set(stored) | (_LATER_FACTS & known) == known
