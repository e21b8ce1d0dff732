"""Defines the facts that a stand-in finds in the media it received; pure (server's process)."""

from dataclasses import dataclass

__all__ = ["AudioFacts", "VideoFacts"]


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoFacts:
    """What was seen in the decoded frames of one MP4.

    Attributes:
        container: the demuxer's name, as libav gives it.
        codec: the decoder's name, as libav gives it.
        fps: the average rate the container states; 0 where it states none.
        duration_s: from the first frame to the end of the last.
        brightness: mean luma, 0 (black) to 1 (white).
        motion: mean change between neighbouring frames that are no cut, 0 to 1.
        cuts: neighbouring frames that have next to nothing in common.
        digits: those that were read, one after the other; empty unless they were looked for.
        corner: where a bright mark stands, as in "top-left"; likewise.
        as_pictures: whether they came one by one, and so have no rate and no duration.
    """

    container: str
    codec: str
    pix_fmt: str
    width: int
    height: int
    frames: int
    fps: float
    duration_s: float
    brightness: float
    colour: str
    motion: float
    cuts: int
    digits: str = ""
    corner: str = ""
    as_pictures: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioFacts:
    """What was heard in the decoded samples of one Ogg.

    Attributes:
        codec: the codec's name, as libav gives it.
        sample_rate_hz: of the sound before it was coded (OpusHead's input sample rate; Opus
            itself always decodes at 48 kHz).
        loudness_dbfs: root mean square of all samples against full scale, at least -120.
        silent_fraction: share of the time that stays under -50 dBFS, 0 to 1.
    """

    codec: str
    sample_rate_hz: int
    channels: int
    duration_s: float
    loudness_dbfs: float
    silent_fraction: float
