"""Collects the pictures of one clip in the order in which they are sent (worker process)."""

from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from captionfleet.media.picture.encode import even_number
from captionfleet.media.picture.picture import PictureMaker

__all__ = ["Reel"]


class Reel:
    """Collects prepared pictures from `begin_s` on; a picture for two slots is stored twice.

    `times_s` are the true source times, `corrupt` marks pictures of corrupt frames; `sampled`
    counts the sampler's pictures, the others are padding.
    """

    def __init__(self, maker: PictureMaker, begin_s: float = 0.0) -> None:
        self._maker = maker
        self._begin_s = begin_s
        self.pictures: list[VideoFrame] = []
        self.times_s: list[float] = []
        self.corrupt: list[bool] = []
        self.sampled = 0

    def add(self, frame: VideoFrame, time_s: float, slots: int) -> None:
        """Add a sampled frame that fills `slots` slots."""
        self.add_padding(frame, time_s, slots)
        self.sampled += slots

    def add_padding(self, frame: VideoFrame, time_s: float, slots: int = 1) -> None:
        """Add a frame that was not sampled, if there is no better one."""
        picture = self._maker.make(frame)
        self.pictures += [picture] * slots
        self.times_s += [self._begin_s + time_s] * slots
        self.corrupt += [frame.is_corrupt] * slots

    def follow(self, stream: VideoStream) -> None:
        """Continue with the frames of another opening of the same stream."""
        self._maker.follow(stream)

    def hold_first(self, slots: int) -> None:
        """Repeat the first picture back to the start, where the video starts late."""
        self.pictures[:0] = self.pictures[:1] * slots
        self.times_s[:0] = self.times_s[:1] * slots
        self.corrupt[:0] = self.corrupt[:1] * slots

    def padded(self) -> tuple[list[VideoFrame], list[float]]:
        """The pictures and their times, the last one repeated until servers take the number."""
        missing = even_number(len(self.pictures)) - len(self.pictures)
        pictures = self.pictures + self.pictures[-1:] * missing
        return pictures, self.times_s + self.times_s[-1:] * missing

    @property
    def rotation_deg(self) -> int:
        """By how many degrees the pictures were turned, clockwise."""
        return self._maker.rotation_deg
