"""Prepares one clip: writes its video, its sound and the facts about them (worker process)."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from captionfleet.errors import FailureCode, MediaError
from captionfleet.media.as_frames import write_frames
from captionfleet.media.as_video import Written, write_video
from captionfleet.media.damage.damage import LEAST_COVERAGE
from captionfleet.media.drafts import drafts
from captionfleet.media.opening.source_bytes import require_unchanged
from captionfleet.media.orders import Prepared, hold_of
from captionfleet.media.sound.writer import SoundWriter
from captionfleet.media.take import Take, take_clip
from captionfleet.messages import Clip, Form, MediaFacts, MediaSpec, base64_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["prepare_clip"]


def prepare_clip(clip: Clip, spec: MediaSpec, own: Path, others: Sequence[Form] = ()) -> Prepared:
    """Write the media of one clip to `own` plus an ending.

    Further forms go to `hold_of` of it; the file is decoded once. The main process computes the
    hashes, when no worker can write any more.

    Raises:
        MediaError: the clip cannot be captioned; its code says why.
        StoreError: the folder cannot be written, as on a full disk.
    """
    require_unchanged(clip.source)
    specs = [spec, *(replace(spec, form=form) for form in others)]
    with ExitStack() as stack:
        made = [
            _Draft(one, *stack.enter_context(drafts(Path(hold_of(str(own), place)), one.form)))
            for place, one in enumerate(specs)
        ]
        try:
            first, *rest = _make(clip, made)
        finally:  # if the file changed, neither result nor error is reliable
            require_unchanged(clip.source)
        return replace(first, others=tuple(rest))


@dataclass(frozen=True, slots=True)
class _Draft:
    """The paths of one form's files."""

    spec: MediaSpec
    video: Path
    audio: Path

    def sound_writer(self) -> SoundWriter:
        return SoundWriter(self.audio, self.spec.audio_bitrate, self.spec.form.audio_format)


def _make(clip: Clip, drafts: Sequence[_Draft]) -> list[Prepared]:
    """Write the files of all forms from one pass over the source."""
    started_s = time.perf_counter()
    audible = [one for one in drafts if one.spec.form.audio_as != "none"]
    take = take_clip(clip, drafts[0].spec, [one.sound_writer() for one in audible])
    taken_s = time.perf_counter()
    _require_coverage(take)
    made = []
    for draft in drafts:
        begun_s = time.perf_counter()
        audio = draft.audio if draft in audible and take.audio_s else None
        written = _write_pictures(take, draft, audio.stat().st_size if audio else 0)
        encode_s = time.perf_counter() - begun_s
        made.append(
            Prepared(_facts(clip, take, draft, written, audio), taken_s - started_s, encode_s)
        )
    return made


def _write_pictures(take: Take, draft: _Draft, audio_bytes: int) -> Written:
    write = write_video if draft.spec.form.video_as == "video_url" else write_frames
    return write(draft.video, take.reel, draft.spec, audio_bytes)


def _require_coverage(take: Take) -> None:
    coverage = take.damage.coverage
    if coverage < LEAST_COVERAGE:
        code = FailureCode.CUT_OFF if take.is_cut_off else FailureCode.UNDECODABLE
        raise MediaError(code, f"{coverage:.0%} of the pictures are there")


def _facts(
    clip: Clip, take: Take, draft: _Draft, written: Written, audio: Path | None
) -> MediaFacts:
    audio_bytes = audio.stat().st_size if audio else 0
    form = draft.spec.form
    return MediaFacts(
        frames=written.frames,
        width=written.width,
        height=written.height,
        has_audio=audio is not None,
        audio_s=round(take.audio_s, 3) if audio else 0.0,
        sampling=draft.spec.sampling,
        video_bytes=draft.video.stat().st_size,
        audio_bytes=audio_bytes,
        payload_bytes=written.base64_bytes + base64_bytes(audio_bytes),
        video_sha256="",
        audio_sha256=None,
        source_codec=take.source_codec,
        source_width=take.source_width,
        source_height=take.source_height,
        # A clock reset makes the file's stated length meaningless.
        source_s=round(clip.film.seconds if clip.film.is_joined else take.source_s, 3),
        padded_frames=written.padded,
        rotation_deg=take.reel.rotation_deg,
        frame_times_s=tuple(round(time_s, 6) for time_s in written.times_s),
        decode_errors=take.decode_errors,
        crf=written.crf,
        damage=replace(take.damage, padded_frames=written.padded),
        video_as=form.video_as,
        audio_as=form.audio_as,
        audio_format=form.audio_format,
        jpeg_quality=written.jpeg_quality,
        frame_bytes=written.frame_bytes,
    )
