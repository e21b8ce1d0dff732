"""Compares media tokens that servers report with those that the media should cost; pure (main)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from captionfleet.config import JobConfig
from captionfleet.messages import Caption
from captionfleet.profiles import Profile, text_tokens_between

__all__ = ["MediaTokens", "media_tokens_of"]

_LEAST_MISSING = 0.05
_MOST_EXTRA = 0.25
_NEARLY_ALL = 0.9
_ALIKE = 0.3


@dataclass(slots=True)
class MediaTokens:
    """Sums over the captions of one deployment.

    The cost of the prompt's text is unknown, but the same for every clip. It is derived from the
    clip with the least media, where a server that drops media can hide least, and is limited to the
    range for a text of that length. Only the job's first request counts, without clips that have
    their own prompts.
    """

    profile: Profile
    text_bytes: int
    fps: float
    request: str = ""
    clips: int = 0
    _reported: int = 0
    _video: int = 0
    _audio: int = 0
    _least: tuple[int, int] | None = None

    def add(self, caption: Caption) -> None:
        """Count a caption; one without usage is ignored."""
        reported, facts = caption.usage.prompt_tokens, caption.facts
        has_own_prompt = caption.clip.source.row.prompt or caption.prompt
        if has_own_prompt or caption.request != self.request:
            return
        if reported is None or self.profile.video_tokens is None:
            return
        video = self.profile.video_tokens(facts.frames, facts.width, facts.height, self.fps)
        audio = self.profile.audio_tokens(facts.audio_s)
        self._least = min(self._least or (video + audio, reported), (video + audio, reported))
        self.clips += 1
        self._reported += reported
        self._video += video
        self._audio += audio

    def report(self) -> dict[str, Any] | None:
        """The comparison for run.json; None if there was nothing to compare.

        `deviation` compares the reported tokens, less the text, with those of the media sent.
        """
        expected = self._video + self._audio
        if self._least is None or not expected:
            return None
        least, most = text_tokens_between(self.text_bytes)
        text_tokens = min(max(self._least[1] - self._least[0], least), most)
        reported = self._reported - self.clips * text_tokens
        return {
            "profile": self.profile.name,
            "clips": self.clips,
            "expected": expected,
            "told": reported,
            "text_tokens_per_clip": text_tokens,
            "deviation": round(reported / expected - 1, 4),
            "remark": self._remark(expected - reported),
        }

    def _remark(self, missing: int) -> str | None:
        expected = self._video + self._audio
        if missing >= _NEARLY_ALL * expected:
            return "as if no media were seen"
        if missing > _LEAST_MISSING * expected:
            if self._audio and abs(missing - self._audio) <= _ALIKE * self._audio:
                return "as if the sound were not heard"
            return f"as if {max(0, 1 - missing / self._video):.0%} of the frames were seen"
        if -missing > _MOST_EXTRA * self._video:
            return f"as if there were {1 - missing / self._video:.1f} times the frames"
        return None


def media_tokens_of(job: JobConfig) -> Mapping[str, MediaTokens]:
    """A counter for each deployment of a job, by name."""
    first = job.asked[0]
    text = first.prompt + (first.system or "")
    size_bytes = len(text.encode(errors="replace"))
    return {
        one.name: MediaTokens(one.known_as, size_bytes, job.media.fps, first.name)
        for one in job.deployments
    }
