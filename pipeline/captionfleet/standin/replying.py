"""Makes the reply to a request from what its media show (server's process)."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from captionfleet.standin import captions, structured
from captionfleet.standin.answers import Reply
from captionfleet.standin.faults import FaultKind
from captionfleet.standin.options import StandinOptions
from captionfleet.standin.protocol import Chat
from captionfleet.standin.refusals import RefusedError, invalid, joined
from captionfleet.standin.senses.facts import AudioFacts, VideoFacts
from captionfleet.standin.senses.perception import (
    UnreadableMediaError,
    hear,
    look,
    look_at_pictures,
)
from captionfleet.standin.senses.viewing import Viewing
from captionfleet.standin.spec import audio_violations, video_violations
from captionfleet.standin.tokens import Usage, prompt_tokens, text_tokens

__all__ = ["Perceived", "perceive", "reply_to"]

_UNSEEN = "The media were not looked at."


@dataclass(frozen=True, slots=True)
class Perceived:
    """The contents of a request's media that reach the model."""

    video: VideoFacts | None
    audio: AudioFacts | None


def perceive(chat: Chat, options: StandinOptions) -> Perceived:
    """Decode the media of a request; runs in a thread.

    Raises:
        RefusedError: 400 for media that cannot be decoded, or that the deployment does not take.
    """
    try:
        reads = captions.asks_for_report(chat.text)
        viewing = Viewing(options.frames, options.turned_deg, reads)
        video = look(chat.video.data, viewing) if chat.video else None
        if chat.pictures:
            video = look_at_pictures([one.data for one in chat.pictures], viewing)
        audio = hear(chat.audio.data) if chat.audio else None
    except UnreadableMediaError as error:
        raise RefusedError(invalid(str(error))) from error
    wrong = video_violations(video, options) if video else []
    wrong += audio_violations(audio, options) if audio else []
    if wrong:
        raise RefusedError(joined(wrong))
    return Perceived(video, None if options.deaf else audio)


def reply_to(
    chat: Chat,
    seen: Perceived | None,
    request_id: str,
    options: StandinOptions,
    fault: FaultKind | None,
) -> Reply:
    """The reply, without timing."""
    video, audio = (seen.video, seen.audio) if seen else (None, None)
    caption = "" if fault is FaultKind.EMPTY else _caption(chat, seen, options, fault)
    text, finish_reason = captions.shortened(caption, chat.max_tokens)
    prompt = prompt_tokens(options.profile, chat.text, video, audio)
    return Reply(
        request_id=request_id,
        created_unix_s=int(datetime.now(UTC).timestamp()),
        model=chat.model,
        text=text,
        finish_reason=finish_reason,
        usage=Usage(prompt, text_tokens(text)),
        stream=chat.stream,
        usage_in=_usage_in(chat, options),
        continuous_usage=chat.continuous_usage and options.tells_usage,
        perf_in_body=chat.perf_in_body,
    )


def _caption(
    chat: Chat, seen: Perceived | None, options: StandinOptions, fault: FaultKind | None
) -> str:
    prose = captions.describe(seen.video, seen.audio) if seen else _UNSEEN
    if captions.asks_for_report(chat.text):
        prose = captions.report(seen.video, seen.audio) if seen else captions.report(None, None)
    ending = captions.proof(chat) if options.names_media else ""
    caption = captions.fitted(prose, ending, options.completion_tokens)
    if chat.schema is None or fault is FaultKind.NOT_JSON:
        return caption
    fits = fault is not FaultKind.MISFIT
    return structured.filled(chat.schema, caption) if fits else structured.misfit()


def _usage_in(chat: Chat, options: StandinOptions) -> Literal["finish", "extra", "none"]:
    if not options.tells_usage:
        return "none"
    if options.strict or not chat.stream:
        return "finish"
    return "extra" if chat.include_usage else "none"
