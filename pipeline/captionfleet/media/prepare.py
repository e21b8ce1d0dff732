"""Makes the media of one clip: an MP4, an Ogg and the facts (worker process)."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from captionfleet.errors import FailureCode, MediaError
from captionfleet.media.damage.damage import LEAST_COVERAGE
from captionfleet.media.drafts import drafts
from captionfleet.media.ladder import Rung, next_rung, payload_bytes, video_budget_bytes
from captionfleet.media.opening.container import require_unchanged
from captionfleet.media.orders import Prepared
from captionfleet.media.picture.encode import write_mp4
from captionfleet.media.picture.picture import smaller
from captionfleet.media.take import Take, take_clip
from captionfleet.messages import Clip, MediaFacts, MediaSpec

if TYPE_CHECKING:
    from pathlib import Path

    from av.video.frame import VideoFrame

__all__ = ["prepare_clip"]


def prepare_clip(clip: Clip, spec: MediaSpec, own: Path) -> Prepared:
    """Write the media of one clip, by the names that `own` and an ending make.

    The hashes are left to the main process, which takes them when nobody can write any more.

    Raises:
        MediaError: the clip cannot be captioned; its code says why.
        StoreError: there is no place to write.
    """
    require_unchanged(clip.source)
    with drafts(own) as (video, audio):
        try:
            return _make(clip, spec, video, audio)
        finally:  # of a file that changed, neither what it gave nor what it lacked is true
            require_unchanged(clip.source)


def _make(clip: Clip, spec: MediaSpec, video: Path, audio: Path) -> Prepared:
    started_s = time.perf_counter()
    take = take_clip(clip, spec, audio)
    taken_s = time.perf_counter()
    _require_coverage(take)
    take.reel.pad()
    audio_bytes = audio.stat().st_size if take.audio_s else 0
    rung, pictures = _encode(take.reel.pictures, spec, video, audio_bytes)
    encoded_s = time.perf_counter()
    facts = _facts(take, spec, video, audio if audio_bytes else None)
    facts = replace(facts, crf=rung.crf, width=pictures[0].width, height=pictures[0].height)
    return Prepared(facts, decode_s=taken_s - started_s, encode_s=encoded_s - taken_s)


def _require_coverage(take: Take) -> None:
    coverage = take.damage.coverage
    if coverage < LEAST_COVERAGE:
        code = FailureCode.CUT_OFF if take.is_cut_off else FailureCode.UNDECODABLE
        raise MediaError(code, f"{coverage:.0%} of the pictures are there")


def _encode(
    pictures: list[VideoFrame], spec: MediaSpec, path: Path, audio_bytes: int
) -> tuple[Rung, list[VideoFrame]]:
    """Write the MP4 with the best settings with which the clip fits into a request.

    Raises:
        MediaError: none do.
    """
    budget_bytes = video_budget_bytes(spec.max_payload_bytes, audio_bytes)
    first = rung = Rung(spec.crf, spec.height_px)
    scaled = pictures
    while True:
        write_mp4(path, scaled, spec, rung.crf)
        size_bytes = path.stat().st_size
        if size_bytes <= budget_bytes:
            return rung, scaled
        lower = next_rung(first, rung, size_bytes, budget_bytes)
        if lower is None:
            detail = f"{size_bytes} bytes of video at the least, {budget_bytes} are left for it"
            raise MediaError(FailureCode.PAYLOAD_TOO_LARGE, detail)
        if lower.height_px != rung.height_px:
            small = {id(p): smaller(p, lower.height_px) for p in pictures}
            scaled = [small[id(p)] for p in pictures]
        rung = lower


def _facts(take: Take, spec: MediaSpec, video: Path, audio: Path | None) -> MediaFacts:
    video_bytes = video.stat().st_size
    audio_bytes = audio.stat().st_size if audio else 0
    reel = take.reel
    padded = len(reel.pictures) - reel.sampled
    return MediaFacts(
        frames=len(reel.pictures),
        width=reel.pictures[0].width,
        height=reel.pictures[0].height,
        has_audio=audio is not None,
        audio_s=round(take.audio_s, 3),
        sampling=spec.sampling,
        video_bytes=video_bytes,
        audio_bytes=audio_bytes,
        payload_bytes=payload_bytes(video_bytes, audio_bytes),
        video_sha256="",
        audio_sha256=None,
        source_codec=take.source_codec,
        source_width=take.source_width,
        source_height=take.source_height,
        source_s=round(take.source_s, 3),
        padded_frames=padded,
        rotation_deg=reel.rotation_deg,
        frame_times_s=tuple(round(time_s, 6) for time_s in reel.times_s),
        decode_errors=take.decode_errors,
        damage=replace(take.damage, padded_frames=padded),
    )
