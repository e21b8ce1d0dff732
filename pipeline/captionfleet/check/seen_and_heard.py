"""Derives findings from a server's answers about test clips; pure (main process)."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from captionfleet.check.canary import QUESTION, SHORT_FRAMES, CanaryClip, Seen
from captionfleet.check.finding import Finding, fail, ok, warn
from captionfleet.messages import Form
from captionfleet.profiles import Profile

__all__ = ["Sent", "judged", "without_flags"]

_UNIFORM_FRAMES = 32
_UNIFORM_SERVERS = "the default of vLLM's plain opencv loader, of transformers and of mistral.rs"
_BYTES_PER_TOKEN = (6.0, 3.0)
_TEMPLATE_TOKENS = 64
_KNOWN_TOLERANCE = 0.07
_GUESSED_TOLERANCE = 0.2
_DOUBLE = (1.75, 2.25)
_HEARD_SHARE = 0.5
_TURNS = {
    "top-right": "turned clockwise by 90 degrees, or mirrored",
    "bottom-right": "turned by 180 degrees",
    "bottom-left": "turned counter-clockwise by 90 degrees, or upside down",
}
_THINKS = "does the model think first? turn that off with extra_body, or look at its captions"
_HOSTED = "no setting of this job causes that: report it to the provider, or lower max_seconds"
_ROOM = (
    "does the context hold all pictures? OLLAMA_CONTEXT_LENGTH for Ollama, --ctx-size for "
    "llama-server, --limit-mm-per-prompt for vLLM; or set max_frames in [deployments.frames]"
)
_ALL_FRAMES_VLLM = """--media-io-kwargs '{"video":{"num_frames":-1}}'"""
_ONE_FPS_VLLM = """--media-io-kwargs '{"video":{"num_frames":-1,"fps":1}}'"""


@dataclass(frozen=True, slots=True)
class Sent:
    """How the clips were sent; `hears` says whether sound was sent."""

    form: Form
    width_px: int
    height_px: int
    hears: bool

    @property
    def as_pictures(self) -> bool:
        """Whether each frame was sent as an image."""
        return self.form.video_as == "frames"


def judged(
    clips: Sequence[CanaryClip], seen: Mapping[str, Seen], profile: Profile, sent: Sent
) -> list[Finding]:
    """Findings from the answers; `seen` holds those that came, by clip name.

    Args:
        clips: The clips, with the frames that were sent.
        seen: The parsed answers.
        profile: The model's profile.
        sent: How the clips were sent.
    """
    known = {clip.name: clip for clip in clips if clip.name in seen}
    count = _Count(known, seen, profile, sent)
    heard = _sound(count) if sent.hears else ()
    return [*_sight(known, seen, sent), *_frames(count), *heard]


def without_flags(finding: Finding) -> Finding:
    """The finding for a hosted deployment, whose server flags the user cannot change."""
    is_flag = "vllm" in finding.advice
    return replace(finding, advice=_HOSTED) if is_flag else finding


class _Count:
    """Separates the token counts of a canary into text, frames and sound.

    The text's tokens are those of the short clip without its frames, within the range for a text of
    that length; if a frame's tokens are unknown, the text's are estimated instead.
    """

    def __init__(
        self,
        clips: Mapping[str, CanaryClip],
        seen: Mapping[str, Seen],
        profile: Profile,
        sent: Sent,
    ) -> None:
        self.clips, self.seen, self.profile, self.sent = clips, seen, profile, sent
        self.short_frames = clips["short"].frames if "short" in clips else SHORT_FRAMES
        low, high = (len(QUESTION) / ratio for ratio in _BYTES_PER_TOKEN)
        high += _TEMPLATE_TOKENS
        short = self.prompt_tokens("short")
        self.text_tokens = (low + high) / 2
        self.reports_usage = short is not None and self.prompt_tokens("long") is not None
        if short is not None and profile.video_tokens is not None:
            self.text_tokens = min(max(short - self._video(self.short_frames), low), high)
        above = max(0.0, (short or 0) - self.text_tokens)
        self._guessed_frame_tokens = above / self.short_frames

    def prompt_tokens(self, name: str) -> int | None:
        """The prompt tokens that a server reports."""
        return self.seen[name].prompt_tokens if name in self.seen else None

    def _video(self, frames: int) -> float:
        if self.profile.video_tokens is None:
            return frames * self._guessed_frame_tokens
        return self.profile.video_tokens(frames, self.sent.width_px, self.sent.height_px, 1.0)

    def voice_tokens(self) -> float | None:
        """The tokens of the short clip's sound."""
        short, voice = self.prompt_tokens("short"), self.prompt_tokens("voice")
        return None if short is None or voice is None else voice - short

    def frames_seen(self, name: str) -> float:
        """The number of frames that a clip's tokens pay for.

        Not every model's sound tokens are proportional to its length: llama-server's Whisper-like
        encoders take 750 tokens for each started 30 s. So the long clip's sound costs between the
        short clip's sound and a proportional cost; the value that favours the server counts.
        """
        clip, prompt_tokens = self.clips[name], self.prompt_tokens(name) or 0
        short = 0.0 if clip.sound == "none" else self.voice_tokens() or 0.0
        long = short * clip.seconds / SHORT_FRAMES
        whole = self._video(clip.frames)
        if not whole:
            return 0.0
        is_known = self.profile.audio_tokens_per_s is not None
        least, most = (
            clip.frames * (prompt_tokens - self.text_tokens - sound) / whole
            for sound in (long, long if is_known else short)
        )
        return min(max(least, clip.frames), most)


def _frames(count: _Count) -> Iterator[Finding]:
    if "long" not in count.clips:
        return
    if not count.reports_usage:
        yield warn(
            "frames",
            "the server reports no usage, so it is unknown whether all frames are kept",
            "let it report usage.prompt_tokens",
        )
        return
    sent, seen = count.clips["long"].frames, count.frames_seen("long")
    is_known = count.profile.video_tokens is not None
    tolerance = _KNOWN_TOLERANCE if is_known else _GUESSED_TOLERANCE
    share, frames = seen / sent, max(0, round(seen))
    if abs(share - 1) <= tolerance:
        yield ok("frames", _all_seen(sent, count.short_frames, is_known=is_known))
    elif seen <= 1:
        what = "pictures" if count.sent.as_pictures else "video"
        text = f"none of {sent} frames costs a token"
        yield fail("frames", text, f"does the server take {what}?")
    elif share < 1 and count.sent.as_pictures:
        yield fail("frames", f"about {frames} of {sent} pictures are seen", _ROOM)
    elif abs(seen - _UNIFORM_FRAMES) <= max(2.0, tolerance * _UNIFORM_FRAMES):
        yield fail(
            "frames",
            f"{_UNIFORM_FRAMES} of {sent} frames are seen: {_UNIFORM_SERVERS}",
            f"start vllm serve with {_ALL_FRAMES_VLLM}",
        )
    elif _DOUBLE[0] <= share <= _DOUBLE[1] and not count.sent.as_pictures:
        yield fail(
            "frames",
            f"{sent} frames cost as much as {2 * sent}: resampled to 2 fps",
            f"start vllm serve with {_ONE_FPS_VLLM}; on SGLang give fps 1",
        )
    elif share < 1:
        yield fail(
            "frames",
            f"about {frames} of {sent} frames are seen",
            f"raise the server's limit of frames; vllm serve: {_ALL_FRAMES_VLLM}",
        )
    else:
        yield warn("frames", f"{sent} frames cost as many tokens as {frames} should")


def _all_seen(frames: int, short_frames: int, *, is_known: bool) -> str:
    if is_known:
        return f"all {frames} frames are seen, by the tokens"
    return (
        f"{frames} frames cost as much each as {short_frames} do (their tokens are not known here)"
    )


def _sight(
    clips: Mapping[str, CanaryClip], seen: Mapping[str, Seen], sent: Sent
) -> Iterator[Finding]:
    if not clips:
        return
    corners = Counter(seen[name].corner for name in clips)
    corner = corners.most_common(1)[0][0]
    wrong = [name for name, clip in clips.items() if seen[name].digits != clip.digits]
    if corner in _TURNS:
        yield fail(
            "picture",
            f"pictures arrive {_TURNS[corner]}",
            "the video is sent upright and without rotation: the server turns it",
        )
    elif any(seen[name].is_cut for name in clips):
        yield warn("picture", "answers were cut off before the report", _THINKS)
    elif len(wrong) == len(clips) and not any(_common(clips[n], seen[n]) for n in wrong):
        yield fail(
            "picture",
            f"none of the digits was read in {len(clips)} clips",
            "the model does not see the video: is it a video model, and is this its server?",
        )
    elif wrong:
        yield _misread(clips[wrong[-1]], seen[wrong[-1]], sent)
    elif not corner:
        yield warn("picture", "every digit was read, the mark in the corner was not")
    else:
        yield ok("picture", f"upright, and all digits read ({_read(clips)})")


def _common(clip: CanaryClip, seen: Seen) -> int:
    """The number of correct digits from the start."""
    pairs = zip(clip.digits, seen.digits, strict=False)
    return next((at for at, (is_, was) in enumerate(pairs) if is_ != was), len(seen.digits))


def _misread(clip: CanaryClip, seen: Seen, sent: Sent) -> Finding:
    right = _common(clip, seen)
    if seen.digits == clip.digits[:right]:
        until = clip.shown[right][1]
        return fail(
            "picture",
            f"nothing was seen from frame {until} of {clip.frames} on "
            f"({seen.digits} read of {clip.digits})",
            _ROOM
            if sent.as_pictures
            else f"does the server cut videos short? vllm serve: {_ALL_FRAMES_VLLM}",
        )
    text = f"{seen.digits or 'nothing'} was read where {clip.digits} is shown"
    return warn("picture", text, "the model misreads, or loses frames")


def _read(clips: Mapping[str, CanaryClip]) -> str:
    return ", ".join(dict.fromkeys(clip.digits for clip in clips.values()))


def _sound(count: _Count) -> Iterator[Finding]:
    if "voice" not in count.clips:
        return
    said = count.seen["voice"].hears
    in_silence = count.seen["long"].hears if "long" in count.clips else None
    tokens, seconds = count.voice_tokens(), count.clips["voice"].seconds
    if tokens is not None:
        expected = count.profile.audio_tokens(seconds) or seconds
        if tokens < _HEARD_SHARE * expected:
            yield _deaf(f"{seconds} s of sound cost {tokens:.0f} tokens", count.sent.form)
            return
    elif said is False:
        yield _deaf("a voice was not heard", count.sent.form)
        return
    if said and in_silence is not True:
        yield ok("sound", "a voice is heard, and silence is not")
    else:
        heard = {True: "sound", False: "no sound", None: "nothing said of it"}
        text = f"{heard[said]} where a voice is, {heard[in_silence]} where it is silent"
        yield warn("sound", text, "its tokens may still be right: try a real clip")


def _deaf(text: str, form: Form) -> Finding:
    return fail(
        "sound",
        f"the server drops {form.audio_as}: {text}",
        'a model that hears, with vLLM of pip install "vllm[audio]"; or modalities = ["video"]',
    )
