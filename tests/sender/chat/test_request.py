"""The request body: exact bytes around the media, and only fields that the server takes."""

import base64
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from captionfleet.config import DeploymentConfig, RequestConfig
from captionfleet.errors import ConfigError
from captionfleet.messages import Form, MediaFacts
from captionfleet.sender.chat.parts import Hole, media_pieces, media_values
from captionfleet.sender.chat.request import (
    base64_bytes,
    body_template,
    model_forms,
    request_body,
    size_bytes,
)

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
EXTRA = st.dictionaries(
    st.text("abcdef_", min_size=1).map(lambda name: f"x_{name}"),
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT | st.just("@0@"),
        lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
        max_leaves=5,
    ),
)


def deployment(**fields: Any) -> DeploymentConfig:
    given_fields = {"name": "d1", "base_url": "http://127.0.0.1:1/v1", "model": "m"} | fields
    return DeploymentConfig.model_validate(given_fields)


def body(request: RequestConfig | None = None, **fields: Any) -> dict[str, Any]:
    config = deployment(**fields)
    media = media_values(config.form, ["VIDEO"], "AUDIO")
    return request_body(request or RequestConfig(), config, media)


def facts_of(pictures: list[bytes], sound: bytes | None) -> MediaFacts:
    """Facts that are true of the sizes."""
    return MediaFacts(
        frames=len(pictures),
        width=640,
        height=360,
        has_audio=sound is not None,
        audio_s=1.0,
        sampling="exact",
        video_bytes=sum(map(len, pictures)),
        audio_bytes=len(sound or b""),
        payload_bytes=0,
        video_sha256="",
        audio_sha256=None,
        source_codec="h264",
        source_width=640,
        source_height=360,
        source_s=1.0,
        frame_times_s=tuple(number + 0.5 for number in range(len(pictures))),
        frame_bytes=tuple(map(len, pictures)),
    )


@settings(max_examples=40)
@given(
    prompt=TEXT | st.just('"@0@", "@1@"'),
    system=st.none() | TEXT,
    model=TEXT,
    extra=EXTRA,
    stream=st.booleans(),
    pictures=st.lists(st.binary(), min_size=1, max_size=4),
    audio=st.none() | st.binary(),
    form=st.builds(
        Form,
        video_as=st.sampled_from(["video_url", "frames"]),
        audio_as=st.sampled_from(["audio_url", "input_audio"]),
        audio_format=st.sampled_from(["ogg", "wav", "mp3"]),
    ),
)
def test_template_is_the_dumped_body(
    *,
    prompt: str,
    system: str | None,
    model: str,
    extra: dict[str, Any],
    stream: bool,
    pictures: list[bytes],
    audio: bytes | None,
    form: Form,
) -> None:
    """Template and base64 together are, byte for byte, the whole body dumped at once."""
    request = RequestConfig(prompt=prompt, system=system, stream=stream)
    config = deployment(model=model, extra_body=extra)
    parts = media_pieces(form, facts_of(pictures, audio), with_audio=audio is not None)
    pieces = body_template(request, config).around(parts)
    files = {"video": b"".join(pictures), "audio": audio or b""}
    streamed = b"".join(
        base64.b64encode(files[piece.medium][piece.offset :][: piece.size_bytes])
        if isinstance(piece, Hole)
        else piece
        for piece in pieces
    )
    shown = pictures if form.video_as == "frames" else [b"".join(pictures)]
    films = [base64.b64encode(picture).decode() for picture in shown]
    sound = None if audio is None else base64.b64encode(audio).decode()
    whole = request_body(request, config, media_values(form, films, sound))
    assert streamed == orjson.dumps(whole)
    assert len(streamed) == size_bytes(pieces)


@given(st.binary(max_size=1000))
def test_base64_length_is_known(data: bytes) -> None:
    """The length of the base64 is known from the length of the data alone."""
    assert base64_bytes(len(data)) == len(base64.b64encode(data))


def test_parts_stand_in_the_documented_order() -> None:
    """The user message holds video, audio and text in this order, as data URLs."""
    assert body()["messages"] == [
        {
            "role": "user",
            "content": [
                {"type": "video_url", "video_url": {"url": "data:video/mp4;base64,VIDEO"}},
                {"type": "audio_url", "audio_url": {"url": "data:audio/ogg;base64,AUDIO"}},
                {"type": "text", "text": "Describe what happens in this video."},
            ],
        }
    ]


def test_frames_stand_before_the_sound_and_the_text() -> None:
    """Each frame is an image part; sound follows as OpenAI names it, and then the prompt."""
    fields = {"video_as": "frames", "audio_as": "input_audio"}
    content = body(**fields)["messages"][0]["content"]
    assert content == [
        {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,VIDEO"}},
        {"type": "input_audio", "input_audio": {"data": "AUDIO", "format": "wav"}},
        {"type": "text", "text": "Describe what happens in this video."},
    ]


def test_times_stand_before_their_frames() -> None:
    """Where they are asked for, times count from the clip's start; before it, none is negative."""
    facts = facts_of([b"a", b"bc", b"d"], None)
    pieces = media_pieces(Form("frames"), facts, with_audio=False, from_s=1.0)
    texts = [piece for piece in pieces if isinstance(piece, bytes) and b'"text":"<' in piece]
    assert [text.partition(b"<")[2][:4] for text in texts] == [b"0.0 ", b"0.5 ", b"1.5 "]
    holes = [piece for piece in pieces if isinstance(piece, Hole)]
    assert holes == [Hole("video", 0, 1), Hole("video", 1, 2), Hole("video", 3, 1)]


def test_system_message_comes_first() -> None:
    """The system message, the only part shared by all clips, leads so that it can be cached."""
    messages = body(RequestConfig(system="Be brief."))["messages"]
    assert messages[0] == {"role": "system", "content": "Be brief."}


def test_strict_server_sees_no_other_field() -> None:
    """A server that refuses unknown fields gets the four that everybody knows, and no more."""
    fields: dict[str, Any] = {"provider": "fireworks"}
    assert set(body(**fields)) == {"model", "messages", "max_tokens", "temperature"}
    streaming = body(RequestConfig(stream=True), **fields)
    assert set(streaming) == {"model", "messages", "max_tokens", "temperature", "stream"}


def test_usage_in_streams_is_asked_for_where_it_must_be() -> None:
    """Servers other than Fireworks send usage in streams only when asked, so they are."""
    assert body(RequestConfig(stream=True))["stream_options"] == {"include_usage": True}
    assert "stream_options" not in body(RequestConfig(stream=False))


@pytest.mark.parametrize("field", ["messages", "model", "stream"])
def test_extra_body_cannot_replace_what_the_program_decides(field: str) -> None:
    """A further field named like one that the program decides is a job file error."""
    with pytest.raises(ConfigError, match=field):
        body(extra_body={field: 1})


def test_extra_body_is_merged_last() -> None:
    """Further fields may set what the job file sets otherwise."""
    assert body(extra_body={"temperature": 1, "top_k": 5})["temperature"] == 1


def test_later_name_of_max_tokens_replaces_it() -> None:
    """Only one of the two names of the token limit is sent, for servers refuse both."""
    assert "max_tokens" not in body(extra_body={"max_completion_tokens": 9})
    openai = body(server="openai")
    assert (openai["max_completion_tokens"], "max_tokens" in openai) == (1000, False)
    again = body(server="openai", extra_body={"max_tokens": 9})
    assert (again["max_tokens"], "max_completion_tokens" in again) == (9, False)


def test_unsendable_text_is_a_configuration_error() -> None:
    """Text that is no Unicode is refused before anything is sent, without being quoted."""
    with pytest.raises(ConfigError, match="d1: prompt") as caught:
        body_template(RequestConfig(), deployment(extra_body={"k": "\ud800"}))
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("model", "account", "name", "ident"),
    [
        ("accounts/a/models/m#accounts/a/deployments/i", "a", "m", "i"),
        ("accounts/fireworks/models/m#accounts/a/deployments/i", "a", "m", "i"),
        ("accounts/a/deployments/i", "a", "MODEL", "i"),
        ("accounts/fireworks/models/m", "ACCOUNT", "m", "ID"),
        ("qwen", "ACCOUNT", "MODEL", "ID"),
    ],
)
def test_model_forms_use_what_was_given(model: str, account: str, name: str, ident: str) -> None:
    """The three forms to try hold the account, the model and the deployment that were given."""
    assert model_forms(model) == (
        f"accounts/{account}/deployments/{ident}",
        f"accounts/fireworks/models/{name}#accounts/{account}/deployments/{ident}",
        f"accounts/{account}/models/{name}#accounts/{account}/deployments/{ident}",
    )
