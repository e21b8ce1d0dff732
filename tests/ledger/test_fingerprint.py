"""Which requests are the same, and which may meet in one folder."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from captionfleet.config import JobConfig
from captionfleet.errors import ConfigError
from captionfleet.ledger.format.fingerprint import Facts, admitted, fingerprint, request_facts

MODEL = "accounts/A/models/M"


def facts_of(deployment: Mapping[str, Any] | None = None, **sections: Any) -> Facts:
    """The facts of a job's only deployment."""
    own = {"base_url": "http://h/v1", "model": MODEL, "api_key_env": ""} | dict(deployment or {})
    job = JobConfig.model_validate({"deployments": [own], **sections})
    return request_facts(job, job.deployments[0])


def test_the_fingerprint_is_stable() -> None:
    """The defaults have the same fingerprint in every release: resuming depends on it."""
    assert fingerprint(facts_of()) == "bd34dd360cb6c38a"


@pytest.mark.parametrize(
    ("deployment", "sections"),
    [
        ({}, {"request": {"prompt": "Who?"}}),
        ({}, {"request": {"system": "Be brief."}}),
        ({}, {"request": {"max_tokens": 7}}),
        ({}, {"request": {"temperature": 0}}),
        ({}, {"media": {"height": 240}}),
        ({}, {"media": {"audio_bitrate": 16_000}}),
        ({}, {"media": {"video_preset": "veryfast"}}),
        ({"model": "accounts/A/models/N"}, {}),
        ({"model": "accounts/A/deployments/D"}, {}),
        ({"modalities": ["video"]}, {}),
        ({"extra_body": {"top_k": 1}}, {}),
    ],
)
def test_what_decides_a_caption_is_in_it(
    deployment: Mapping[str, Any], sections: Mapping[str, Any]
) -> None:
    """Another prompt, model, parameter or medium is another request."""
    assert fingerprint(facts_of(deployment, **sections)) != fingerprint(facts_of())


@pytest.mark.parametrize(
    ("deployment", "sections"),
    [
        ({"model": f"{MODEL}#accounts/A/deployments/D", "base_url": "http://other/v1"}, {}),
        ({"max_in_flight": 2, "name": "other", "api_key_env": "PATH"}, {}),
        ({"extra_body": {"user": "me", "stream_options": {}}}, {}),
        ({}, {"request": {"stream": True, "timeout_s": 5, "max_attempts": 2}}),
        ({}, {"media": {"max_payload_bytes": 20_000, "max_pixels": 5}}),
        ({}, {"media": {"video_preset": "fast"}}),
        ({}, {"workers": {"processes": 9}, "output": {"dir": "x"}}),
    ],
)
def test_how_it_is_sent_is_not(deployment: Mapping[str, Any], sections: Mapping[str, Any]) -> None:
    """Another deployment of the model, another pace and other limits are the same request."""
    assert fingerprint(facts_of(deployment, **sections)) == fingerprint(facts_of())


names = st.sets(st.sampled_from("abc"))


@given(names, names.filter(bool))
def test_fleets_may_grow_and_shrink(there: set[str], here: set[str]) -> None:
    """One side holds the other, or the run is refused; a fitting run loses no caption."""
    known, own = dict.fromkeys(there), {name: facts_of() for name in here}
    if there <= here or here <= there:
        assert admitted(known, own, recaption=False) == there | here
    else:
        assert admitted(known, own, recaption=True) == here
        with pytest.raises(ConfigError, match="--recaption"):
            admitted(known, own, recaption=False)


def test_the_refusal_names_the_change_and_no_secret() -> None:
    """One line tells what is different, shortened, without what extra_body holds."""
    old = facts_of({"extra_body": {"token": "s3cret"}}, request={"prompt": "Old?\n" * 100})
    with pytest.raises(ConfigError) as refused:
        admitted({"a": old}, {"b": facts_of()}, recaption=False)

    message = str(refused.value)
    assert 'prompt: "Old?' in message
    assert "extra_body" in message
    assert "s3cret" not in message
    assert "\n" not in message
    assert len(message) < 400
