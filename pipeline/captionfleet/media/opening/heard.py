"""Chooses the audio track that holds sound, if a file has several (worker process)."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import av

from captionfleet.media.opening.container import audio_candidates, open_media

if TYPE_CHECKING:
    from collections.abc import Sequence

    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.video.stream import VideoStream

    from captionfleet.messages import Source

__all__ = ["heard_audio"]

# FFmpeg's command line considers only tracks with packets in the 5 s (-analyzeduration) that it
# probes. A track may begin later than its neighbour, so this probes twice as far.
_LOOK_S = 10.0
# More packets than the tracks of a broadcast multiplex hold in that time.
_MOST_PACKETS = 20_000


def heard_audio(
    source: Source, container: InputContainer, beside: VideoStream, max_pixels: int
) -> AudioStream | None:
    """The first candidate among the audio tracks that holds packets; the first if none does.

    Only Matroska and similar formats leave open whether a track is empty; for those the first
    seconds of the file are read once more, up to the first packet of the first candidate.

    Raises:
        MediaError: the source is no longer the file that was found.
    """
    tracks = audio_candidates(container, beside)
    if len(tracks) < 2 or tracks[0].frames:  # noqa: PLR2004 - one track leaves no choice
        return tracks[0] if tracks else None
    with open_media(source, max_pixels) as again:
        seen = _indexes_seen(again, [track.index for track in tracks])
    return next((track for track in tracks if track.index in seen), tracks[0])


def _indexes_seen(container: InputContainer, indexes: Sequence[int]) -> set[int]:
    """Tracks with a packet, up to the first packet of the first candidate or `_LOOK_S`."""
    seen: dict[int, float] = {}
    wanted = [container.streams[index] for index in indexes if index < len(container.streams)]
    try:
        for packet in islice(container.demux(*wanted), _MOST_PACKETS):
            if not packet.size:
                continue
            at_s = float((packet.dts or packet.pts or 0) * packet.time_base)
            began_s = seen.setdefault(packet.stream_index, at_s)
            if indexes[0] in seen or at_s - began_s > _LOOK_S:
                break
    except (av.FFmpegError, IndexError):  # decoding meets the damage again, and counts it
        pass
    return set(seen)
