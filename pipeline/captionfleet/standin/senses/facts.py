"""Defines the facts that a stand-in finds in received media; pure (server's process)."""

from dataclasses import dataclass

__all__ = ["AudioFacts", "VideoFacts"]


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoFacts:
    """What the decoded frames of a video or of images show.

    Attributes:
        container: the demuxer's name, as libav gives it.
        codec: the decoder's name, as libav gives it.
        fps: the average rate in the container; 0 if it has none.
        duration_s: from the first frame to the end of the last.
        brightness: mean luma, 0 (black) to 1 (white).
        motion: mean change between neighbouring frames without a cut, 0 to 1.
        cuts: the number of neighbouring frames that differ almost completely.
        digits: the digits read, in order; empty unless the stand-in looks for them.
        corner: the corner with a bright mark, as in "top-left"; empty likewise.
        as_pictures: whether the frames came as images, without rate and duration.
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
    """What the decoded samples of a sound contain.

    Attributes:
        codec: the codec's name, as libav gives it.
        sample_rate_hz: of the sound before it was coded (OpusHead's input sample rate; Opus
            itself always decodes at 48 kHz).
        loudness_dbfs: root mean square of all samples against full scale, at least -120.
        silent_fraction: share of the time below -50 dBFS, 0 to 1.
    """

    codec: str
    sample_rate_hz: int
    channels: int
    duration_s: float
    loudness_dbfs: float
    silent_fraction: float
