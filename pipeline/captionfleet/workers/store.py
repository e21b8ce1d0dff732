"""Stores prepared media on disk, by source and settings, for later runs (main, in a thread).

An entry is up to three files: KEY.mp4 (or .mjpeg, concatenated JPEGs), KEY.ogg (or .wav, .mp3) and
KEY.json. The facts are written last, so an entry without them does not exist, whenever a process
died.

A clip holds its media by names of its own, hard links to the entry's files: a run that evicts the
entry takes nothing from the clip. No worker process writes to any of these names.
"""

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import orjson

from captionfleet.errors import StoreError
from captionfleet.ledger.stored_media import DRAFT_ENDING, FACTS_ENDING, entry_base
from captionfleet.messages import (
    MEDIA_ENDINGS,
    Clip,
    Damage,
    Form,
    MediaFacts,
    MediaSpec,
    base64_bytes,
)
from captionfleet.messages.address import is_address
from captionfleet.system.regular_file import make_folder, open_regular, require_folder
from captionfleet.workers.taking import (
    NotAsReportedError,
    Taken,
    copied,
    measured,
    replaced_by_copy,
    taken,
)

__all__ = ["MediaStore", "StoredMedia", "let_go", "media_key"]

# Increase it whenever workers make other bytes of the same source.
_RECIPE = 6
_NO_LINKS = {errno.EPERM, errno.EXDEV, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOSYS}
# Facts that entries of earlier versions lack; the defaults are true for those.
_LATER_FACTS = {"video_as", "audio_as", "audio_format", "jpeg_quality", "frame_bytes"}
_USUAL = Form()
_MAX_FACTS_BYTES = 2**22  # the most that a worker may report


@dataclass(frozen=True, slots=True)
class StoredMedia:
    """One clip's own names of its media, and the facts about them.

    `key` is the key of their entry. The change times are those of the files when they were hashed.
    """

    key: str
    video: Path
    audio: Path | None
    facts: MediaFacts
    video_mtime_ns: int
    audio_mtime_ns: int | None


def media_key(clip: Clip, spec: MediaSpec) -> str:
    """The key of an entry: a hash of the source as it was found, the window and the settings.

    The default form is left out, so that entries of versions that knew no other are found.
    """
    source = clip.source
    opened = source.path if is_address(source.path) else os.path.realpath(source.path)
    path = os.fsencode(opened).hex()
    made = [_RECIPE, path, source.size_bytes, source.mtime_ns, clip.start_s, clip.end_s]
    if clip.film.is_joined and clip.start_s > 0:  # a row may need the same time at another place
        made.append("joined")
    settings = asdict(spec)
    if spec.form == _USUAL:
        del settings["form"]
    return hashlib.blake2b(orjson.dumps([*made, settings]), digest_size=20).hexdigest()


class MediaStore:
    """A folder of entries that any number of processes read and write at once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, key: str, hold: Path, form: Form = _USUAL) -> StoredMedia | None:
        """Hold an entry under the clip's own name, if it exists with the bytes that were written.

        Args:
            key: of the entry.
            hold: the clip's own name in the store's file system; endings are added.
            form: how the clip is to be sent, which decides the endings.
        """
        base = entry_base(self._folder, key)
        try:
            require_folder(base.parent)
            facts = _read_facts(base.with_suffix(FACTS_ENDING))
            video = _held(base, hold, form.video_ending)
            audio = _held(base, hold, form.audio_ending) if facts.has_audio else None
            _require_same(facts, video, audio)
        except (OSError, ValueError, TypeError):
            let_go(hold)
            return None
        with suppress(OSError):  # most recently used, so evicted last
            os.utime(base.with_suffix(FACTS_ENDING), follow_symlinks=False)
        return _media(key, hold, form, facts, video, audio)

    def keep(  # noqa: PLR0913, PLR0917 - source, target and limits
        self,
        key: str,
        made: Path,
        hold: Path,
        facts: MediaFacts,
        max_payload_bytes: int,
        form: Form = _USUAL,
    ) -> StoredMedia:
        """Move a worker's media out of its reach, and make an entry of them.

        Args:
            key: of the entry.
            made: the worker's own name of it, without endings.
            hold: as for `find`.
            facts: as the worker reports them; sizes and hashes are measured here.
            max_payload_bytes: what a request may hold of it.
            form: as for `find`.

        Raises:
            NotAsReportedError: the worker did not leave such media.
            StoreError: the store cannot be written.
        """
        let_go(hold)  # of an earlier try
        with _store_errors():
            video = _take(made, hold, form.video_ending, max_payload_bytes)
            has_audio = facts.has_audio and form.audio_as != "none"
            audio = _take(made, hold, form.audio_ending, max_payload_bytes) if has_audio else None
            facts = _measured(facts, form, video, audio)
            if facts.payload_bytes >= max_payload_bytes:
                raise NotAsReportedError("left media that are too large to send")
            self._publish(key, hold, form, facts)
        let_go(made)  # an empty soundtrack
        return _media(key, hold, form, facts, video, audio)

    def _publish(self, key: str, hold: Path, form: Form, facts: MediaFacts) -> None:
        base = entry_base(self._folder, key)
        make_folder(base.parent)
        draft = hold.with_suffix(DRAFT_ENDING)
        for ending in (form.video_ending, *([form.audio_ending] if facts.has_audio else [])):
            _name_too(hold.with_suffix(ending), base.with_suffix(ending), draft)
        draft.write_bytes(orjson.dumps(asdict(facts)))
        _put(draft, base.with_suffix(FACTS_ENDING))


def _media(  # noqa: PLR0913, PLR0917 - all that is known of it
    key: str, hold: Path, form: Form, facts: MediaFacts, video: Taken, audio: Taken | None
) -> StoredMedia:
    own_video = hold.with_suffix(form.video_ending)
    own_audio = hold.with_suffix(form.audio_ending) if audio else None
    mtime_ns = audio.mtime_ns if audio else None
    return StoredMedia(key, own_video, own_audio, facts, video.mtime_ns, mtime_ns)


def _take(made: Path, hold: Path, ending: str, max_bytes: int) -> Taken:
    return taken(made.with_suffix(ending), hold.with_suffix(ending), max_bytes)


def _measured(facts: MediaFacts, form: Form, video: Taken, audio: Taken | None) -> MediaFacts:
    audio_bytes = audio.size_bytes if audio else 0
    parts = facts.frame_bytes if form.video_as == "frames" else (video.size_bytes,)
    if sum(parts) != video.size_bytes or min(parts, default=0) <= 0:
        raise NotAsReportedError("left JPEGs of other sizes than it reports")
    return replace(
        facts,
        has_audio=audio is not None,
        video_as=form.video_as,
        audio_as=form.audio_as,
        audio_format=form.audio_format,
        frame_bytes=parts if form.video_as == "frames" else (),
        video_bytes=video.size_bytes,
        audio_bytes=audio_bytes,
        payload_bytes=base64_bytes(*parts, audio_bytes),
        video_sha256=video.sha256,
        audio_sha256=audio.sha256 if audio else None,
    )


def _held(base: Path, hold: Path, ending: str) -> Taken:
    """Give a file of the store a second name, and hash it; copy it where links are impossible."""
    stored, own = base.with_suffix(ending), hold.with_suffix(ending)
    own.unlink(missing_ok=True)  # of an earlier try
    if not _is_linked(stored, own):
        copied(stored, own)
    with os.fdopen(open_regular(own), "rb", buffering=0) as file:
        return measured(file)


def _name_too(own: Path, target: Path, draft: Path) -> None:
    """Give a clip's file its name in the store, atomically."""
    draft.unlink(missing_ok=True)  # of an earlier try
    if not _is_linked(own, draft):
        copied(own, draft)
    _put(draft, target)


def _put(draft: Path, target: Path) -> None:
    """Rename a draft; across file systems, copy it to the target's folder first."""
    try:
        draft.replace(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        replaced_by_copy(draft, target)
        draft.unlink()


def _is_linked(source: Path, target: Path) -> bool:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        return False
    return True


def let_go(own: Path) -> None:
    """Remove every file under a clip's own name."""
    for ending in (*MEDIA_ENDINGS, DRAFT_ENDING):
        with suppress(OSError):
            own.with_suffix(ending).unlink()


@contextmanager
def _store_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(error.errno or 0, str(error.strerror)) from None


def _require_same(facts: MediaFacts, video: Taken, audio: Taken | None) -> None:
    if (video.sha256, audio.sha256 if audio else None) != (facts.video_sha256, facts.audio_sha256):
        raise ValueError


def _read_facts(path: Path) -> MediaFacts:
    with os.fdopen(open_regular(path), "rb") as file:
        stored = orjson.loads(file.read(_MAX_FACTS_BYTES))
    if not _has_fields_of(MediaFacts, stored) or not _has_fields_of(Damage, stored["damage"]):
        raise ValueError
    stored["damage"] = Damage(**stored["damage"])
    for name in ("frame_times_s", "frame_bytes"):
        stored[name] = tuple(stored.get(name, ()))
    return MediaFacts(**stored)


def _has_fields_of(kind: type[MediaFacts | Damage], stored: object) -> bool:
    """Whether this version wrote the facts: earlier versions had fewer."""
    known = {field.name for field in fields(kind)}
    return isinstance(stored, dict) and set(stored) | (_LATER_FACTS & known) == known
