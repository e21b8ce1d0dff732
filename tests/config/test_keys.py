"""Which key goes to which server: one rule for requests, the control plane and what was left on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from captionfleet.config import DeploymentConfig, JobConfig
from captionfleet.config.keys import (
    DEFAULT_API_BASE,
    DEFAULT_KEY_ENV,
    default_pairs,
    key_for,
    key_pair,
    sent_in_clear,
)

SERVICE = "https://gateway.example/fireworks"
PAIRS = default_pairs(SERVICE)

UNNAMED = {
    "https://api.fireworks.ai/inference/v1": True,
    "https://API.Fireworks.AI:443/v1": True,
    "https://api.fireworks.ai./v1": True,
    "https://my-account.us-arizona-1.direct.fireworks.ai/v1": True,
    "http://127.0.0.1:8000/v1": True,
    "http://127.9.9.9/v1": True,
    "http://[::1]:8000/v1": True,
    "http://localhost:8000/v1": True,
    "https://gateway.example/v1": True,  # the environment names it beside the key
    "https://gateway.example:8443/v1": False,
    "http://gateway.example/v1": False,
    "http://api.fireworks.ai/v1": False,
    "https://api.openai.com/v1": False,
    "https://fireworks.ai.evil.example/v1": False,
    "https://notfireworks.ai/v1": False,
    "https://evil.example/api.fireworks.ai": False,
    "https://api.fireworks.ai@evil.example/v1": False,
    "https://evil.example#.fireworks.ai": False,
    "http://localhost.evil.example/v1": False,
    "http://0.0.0.0:8000/v1": False,
    "http://10.0.0.1:8000/v1": False,
    "http://[::ffff:10.0.0.1]/v1": False,
    "no url": False,
    "https://h:99999/v1": False,
    "": False,
}


@pytest.mark.parametrize("url", UNNAMED)
def test_default_key_goes_to_the_vendor_and_this_machine_alone(url: str) -> None:
    """Without a variable's name, no other server gets a key."""
    assert key_for(url, None, PAIRS) == (DEFAULT_KEY_ENV if UNNAMED[url] else "")


NAMED = {
    ("https://own.example/v1", "OWN_KEY"): "OWN_KEY",
    ("https://own.example:443/another/path", "OWN_KEY"): "OWN_KEY",
    ("https://own.example:8443/v1", "OWN_KEY"): "",
    ("http://own.example/v1", "OWN_KEY"): "",
    ("https://own.example/v1", "GITHUB_TOKEN"): "",
    ("https://own.example/v1", DEFAULT_KEY_ENV): "",
    ("https://own.example/v1", ""): "",
    ("https://other.example/v1", "OWN_KEY"): "",
    ("http://127.0.0.1:9/v1", "OWN_KEY"): "",
    ("http://127.0.0.1:9/v1", DEFAULT_KEY_ENV): "",  # whoever listens there
    (DEFAULT_API_BASE, DEFAULT_KEY_ENV): DEFAULT_KEY_ENV,
    (SERVICE, DEFAULT_KEY_ENV): DEFAULT_KEY_ENV,
    (DEFAULT_API_BASE, "GITHUB_TOKEN"): "",
    ("no url", "OWN_KEY"): "",
}


@pytest.mark.parametrize("pair", NAMED)
def test_named_key_goes_where_the_two_are_named_together(pair: tuple[str, str]) -> None:
    """A variable's key goes to the server that it was named with, and to no other."""
    named = PAIRS | {key_pair("https://own.example/v1", "OWN_KEY")}
    assert key_for(*pair, named) == NAMED[pair]


@given(st.text(max_size=40), st.none() | st.text(max_size=20))
def test_any_text_is_an_answer(url: str, variable: str | None) -> None:
    """Whatever a file holds for a server, no key goes there."""
    assert key_for(url, variable, PAIRS) == ""
    assert key_for(url, variable, [key_pair(url, variable or "")]) in {"", variable}


@pytest.mark.parametrize(
    ("url", "is_clear"),
    [
        ("http://gpu-0:8000/v1", True),
        ("http://10.0.0.1/v1", True),
        ("https://gpu-0/v1", False),
        ("http://localhost:8000/v1", False),
        ("http://[::1]:8000/v1", False),
    ],
)
def test_plain_http_to_another_machine_can_be_read(url: str, *, is_clear: bool) -> None:
    """What goes unencrypted over a network is known as such."""
    assert sent_in_clear(url) is is_clear


def one(**fields: str) -> DeploymentConfig:
    """A deployment of a job."""
    return DeploymentConfig.model_validate({"name": "d", "model": "m"} | fields)


def test_deployment_without_a_name_for_its_key_keeps_the_default_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """FIREWORKS_API_KEY goes to another's server only where the job says so."""
    monkeypatch.setenv("FIREWORKS_API_KEY", "fw_secret")
    other = "https://other.example/v1"
    assert one(base_url=other).api_key() is None
    assert one(base_url="https://api.fireworks.ai/inference/v1").api_key() is not None
    assert one(base_url="http://127.0.0.1:1/v1").api_key() is not None
    assert one(base_url="http://127.0.0.1:1/v1", api_key_env="").api_key() is None
    assert one(base_url=other, api_key_env="FIREWORKS_API_KEY").api_key() is not None


def test_job_names_the_pairs_of_its_deployments() -> None:
    """Each server of the job goes with its own variable, and with no other deployment's."""
    deployments = [
        {"base_url": "https://a.example/v1", "model": "m", "api_key_env": "A"},
        {"base_url": "https://b.example/v1", "model": "m"},
        {"base_url": "https://c.example/v1", "model": "m", "api_key_env": ""},
        {
            "api_key_env": "D",
            "lifecycle": {"account": "acme", "api_base": "https://d.example"},
        },
    ]
    job = JobConfig.model_validate({"deployments": deployments})
    assert job.key_pairs - default_pairs(DEFAULT_API_BASE) == {
        ("https://a.example:443", "A"),
        ("https://d.example:443", "D"),
    }
