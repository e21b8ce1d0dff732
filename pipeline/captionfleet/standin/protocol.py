"""Parses the body of a chat-completions request, as the service validates it; pure."""

import hashlib
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import orjson
from pydantic import BaseModel, BeforeValidator, Field, StrictBool, ValidationError

from captionfleet.standin.media_parts import Audio, Image, InputAudio, Media, Video, media_of
from captionfleet.standin.options import StandinOptions
from captionfleet.standin.refusals import Refusal, RefusedError, invalid, joined
from captionfleet.standin.structured import unsupported

__all__ = ["Chat", "read_chat"]

_DEFAULT_MAX_TOKENS = 2048
_SHOWN_VALUE_CHARS = 64
_SHOWN_ERRORS = 20
_MOST_PARTS = 2000  # the frames of ten minutes, and a time before each

# Documented request fields, some of which the service ignores, that change nothing here.
_PASSED_OVER = frozenset(
    """
    add_generation_prompt add_special_tokens allowed_token_ids bad_words best_of
    chat_template_kwargs context_length_exceeded_behavior continue_final_message detokenize echo
    echo_last frequency_penalty guided_choice guided_decoding_backend guided_grammar guided_json
    guided_regex ignore_eos include_reasoning include_stop_str_in_output logit_bias logprobs
    metadata min_p min_tokens mirostat_lr mirostat_target nvext parallel_tool_calls prediction
    presence_penalty prompt_cache_isolation_key prompt_cache_key prompt_truncate_len raw_output
    reasoning_effort reasoning_history repetition_penalty return_token_ids
    safe_tokenization seed service_tier skip_special_tokens spaces_between_special_tokens
    speculation stop stop_token_ids thinking tool_choice tools top_k top_logprobs
    truncate_prompt_tokens typical_p use_beam_search user
    """.split()
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chat:
    """One valid request; the answer must fit `schema`, or be any JSON object if that is {}."""

    model: str
    text: str
    video: Media | None
    audio: Media | None
    pictures: tuple[Media, ...] = ()
    audio_as: str | None = None
    max_tokens: int
    stream: bool
    include_usage: bool
    continuous_usage: bool
    perf_in_body: bool
    schema: dict[str, Any] | None = None

    @property
    def video_sha256(self) -> str | None:
        """The SHA-256 of the video, or of all images concatenated."""
        if self.pictures:
            return hashlib.sha256(b"".join(one.data for one in self.pictures)).hexdigest()
        return self.video.sha256 if self.video else None


class _Text(BaseModel):
    type: Literal["text"]
    text: str


def _as_parts(content: Any) -> Any:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


class _Message(BaseModel):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Annotated[
        list[Annotated[_Text | Video | Image | Audio | InputAudio, Field(discriminator="type")]],
        BeforeValidator(_as_parts),
        Field(max_length=_MOST_PARTS),
    ]
    name: str | None = None


class _StreamOptions(BaseModel):
    include_usage: StrictBool = False
    continuous_usage_stats: StrictBool = False


class _JsonSchema(BaseModel):
    name: str = ""
    schema_: dict[str, Any] = Field(alias="schema")


class _ResponseFormat(BaseModel):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: _JsonSchema | None = None


class _Body(BaseModel):
    model: str
    messages: list[_Message] = Field(min_length=1, max_length=100)
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, ge=0, le=1)
    n: int | None = Field(None, ge=1, le=1)
    stream: StrictBool | None = None
    stream_options: _StreamOptions | None = None
    perf_metrics_in_response: StrictBool | None = None
    response_format: _ResponseFormat | None = None


def read_chat(raw: bytes | bytearray, options: StandinOptions) -> Chat:
    """Validate a request body and decode its media from base64.

    Raises:
        RefusedError: 400 for a body, a part or base64 that is wrong, 404 for a model that is not
            served, 413 for too much base64.
    """
    body = _validated(raw, strict=options.strict)
    if options.models and body.model not in options.models:
        raise RefusedError(_no_such_model())
    parts = [part for message in body.messages for part in message.content]
    sent = media_of(parts, options)
    return Chat(
        model=body.model,
        text="\n".join(part.text for part in parts if isinstance(part, _Text)),
        video=sent.video,
        pictures=sent.pictures,
        audio=sent.audio,
        audio_as=sent.audio_as,
        max_tokens=body.max_completion_tokens or body.max_tokens or _DEFAULT_MAX_TOKENS,
        stream=bool(body.stream),
        include_usage=bool(body.stream_options and body.stream_options.include_usage),
        continuous_usage=bool(body.stream_options and body.stream_options.continuous_usage_stats),
        perf_in_body=bool(body.perf_metrics_in_response),
        schema=_schema(body.response_format, strict=options.strict),
    )


def _validated(raw: bytes | bytearray, *, strict: bool) -> _Body:
    try:
        fields = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise RefusedError(invalid("the request body is no JSON")) from error
    if not isinstance(fields, dict):
        raise RefusedError(invalid("the request body is no JSON object"))
    used = {name: value for name, value in fields.items() if name not in _PASSED_OVER}
    try:
        body = _Body.model_validate(used, extra="forbid" if strict else "ignore")
    except ValidationError as error:
        details = error.errors(include_url=False)[:_SHOWN_ERRORS]
        raise RefusedError(joined([_as_refusal(detail) for detail in details])) from None
    if strict:
        _refuse_what_others_take(body)
    if body.stream_options is not None and not body.stream:
        raise RefusedError(invalid("stream_options needs stream: true", "stream_options"))
    return body


def _refuse_what_others_take(body: _Body) -> None:
    """Refuse fields that OpenAI and vLLM accept and Fireworks does not."""
    if body.max_tokens is not None and body.max_completion_tokens is not None:
        raise RefusedError(invalid("max_tokens and max_completion_tokens exclude each other"))
    for at, message in enumerate(body.messages):
        if message.role in {"developer", "tool"}:
            name = f"messages.{at}.role"
            wrong = f"unknown role, field: '{name}', value: '{message.role}'"
            raise RefusedError(invalid(wrong, name))
    if body.stream_options is not None and body.stream_options.continuous_usage_stats:
        name = "stream_options.continuous_usage_stats"
        raise RefusedError(invalid(f"Extra inputs are not permitted, field: '{name}'", name))


def _schema(wanted: _ResponseFormat | None, *, strict: bool) -> dict[str, Any] | None:
    if wanted is None or wanted.type == "text":
        return None
    if wanted.type == "json_object":
        return {}
    if wanted.json_schema is None:
        raise RefusedError(invalid("json_schema is missing", "response_format"))
    schema = wanted.json_schema.schema_
    if strict and (keyword := unsupported(schema)):
        raise RefusedError(invalid(f"the schema keyword {keyword} is not supported"))
    return schema


def _as_refusal(detail: Any) -> Refusal:
    """Format one pydantic error as the service does: "..., field: 'f', value: v"."""
    name = ".".join(str(step) for step in detail["loc"])
    value = repr(detail["input"])
    shown = value if len(value) <= _SHOWN_VALUE_CHARS else f"{value[:_SHOWN_VALUE_CHARS]}..."
    return invalid(f"{detail['msg']}, field: '{name}', value: {shown}", name)


def _no_such_model() -> Refusal:
    message = "Model not found, inaccessible, and/or not deployed"
    return Refusal(404, "NOT_FOUND", message, "model")
