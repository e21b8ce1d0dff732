"""The request body: exact bytes around the media, and only fields that the server takes."""

import base64
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from captionfleet.config import DeploymentConfig, RequestConfig
from captionfleet.errors import ConfigError
from captionfleet.sender.chat.request import base64_bytes, body_template, model_forms, request_body

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
    return request_body(request or RequestConfig(), deployment(**fields), "VIDEO", "AUDIO")


@given(
    prompt=TEXT | st.just('"@0@", "@1@"'),
    system=st.none() | TEXT,
    model=TEXT,
    extra=EXTRA,
    stream=st.booleans(),
    video=st.binary(),
    audio=st.none() | st.binary(),
)
def test_template_is_the_dumped_body(
    *,
    prompt: str,
    system: str | None,
    model: str,
    extra: dict[str, Any],
    stream: bool,
    video: bytes,
    audio: bytes | None,
) -> None:
    """Template and base64 together are, byte for byte, the whole body dumped at once."""
    request = RequestConfig(prompt=prompt, system=system, stream=stream)
    config = deployment(model=model, extra_body=extra)
    film = base64.b64encode(video).decode()
    sound = None if audio is None else base64.b64encode(audio).decode()
    template = body_template(request, config, with_audio=sound is not None)
    streamed = template.head + film.encode()
    if template.audio_head is not None and sound is not None:
        streamed += template.audio_head + sound.encode()
    streamed += template.tail
    whole = request_body(request, config, film, sound)
    assert streamed == orjson.dumps(whole)
    assert len(streamed) == template.size_bytes(len(video), len(audio or b""))


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


def test_unsendable_text_is_a_configuration_error() -> None:
    """Text that is no Unicode is refused before anything is sent, without being quoted."""
    with pytest.raises(ConfigError, match="d1: prompt") as caught:
        body_template(RequestConfig(), deployment(extra_body={"k": "\ud800"}), with_audio=True)
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
