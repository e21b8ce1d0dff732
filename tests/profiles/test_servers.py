"""What is known of servers, and what `auto` becomes by it."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from captionfleet.config import DeploymentConfig, JobConfig, job_from_flags
from captionfleet.ledger.format.fingerprint import fingerprint, request_facts
from captionfleet.profiles import SERVERS, server_of

TESTED = (Path(__file__).parents[2] / "benchmarks" / "README.md").read_text()
QWEN_VL = "Qwen/Qwen3-VL-8B-Instruct"
OMNI = "Qwen3-Omni-30B-A3B-Instruct"


def configured(**fields: Any) -> DeploymentConfig:
    """One deployment."""
    own = {"base_url": "http://h/v1", "model": "m", "api_key_env": ""}
    return DeploymentConfig.model_validate(own | fields)


def printed(deployment: DeploymentConfig) -> str:
    """The fingerprint of its requests."""
    job = JobConfig.model_validate({"deployments": [{"base_url": "http://h", "model": "m"}]})
    return fingerprint(request_facts(job, deployment))


def sent(deployment: DeploymentConfig) -> tuple[str, str]:
    """The forms of pictures and sound; sound that is not sent has none."""
    form, hears = deployment.form, "audio" in deployment.modalities
    return form.video_as, form.audio_as if hears else "none"


def test_every_entry_has_source_and_date() -> None:
    """Nothing is known without saying where from, and when."""
    for name, kind in SERVERS.items():
        assert kind.name == name
        assert re.search(r"https://|vLLM 0\.", kind.source)
        assert re.fullmatch(r"20\d\d-\d\d", kind.as_of)
        if kind.tested:
            assert f"| {name} | {kind.tested} | run |" in TESTED


@pytest.mark.parametrize(
    ("host", "kind"),
    [
        ("api.openai.com", "openai"),
        ("API.OpenAI.com.", "openai"),
        ("generativelanguage.googleapis.com", "gemini"),
        ("api.openai.com.example.org", "generic"),
        ("localhost", "generic"),
        ("api.fireworks.ai", "generic"),
    ],
)
def test_services_are_known_by_their_hosts(host: str, kind: str) -> None:
    """By the whole name, and by nothing else."""
    assert server_of(host).name == kind
    assert server_of(host, "ollama").name == "ollama"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, ("video_url", "audio_url")),
        ({"server": "vllm"}, ("video_url", "audio_url")),
        ({"base_url": "http://127.0.0.1:11434/v1"}, ("video_url", "audio_url")),
        ({"server": "ollama"}, ("frames", "none")),
        ({"server": "ollama", "model": OMNI}, ("frames", "none")),
        ({"server": "lm-studio"}, ("frames", "none")),
        ({"server": "llama-server"}, ("frames", "none")),
        ({"server": "llama-server", "model": OMNI}, ("frames", "input_audio")),
        ({"base_url": "https://api.openai.com/v1"}, ("frames", "none")),
        (
            {"base_url": "https://api.openai.com/v1", "server": "generic"},
            ("video_url", "audio_url"),
        ),
        (
            {"base_url": "https://generativelanguage.googleapis.com/v1beta/openai"},
            ("frames", "input_audio"),
        ),
        ({"server": "vllm", "model": QWEN_VL}, ("video_url", "none")),
        ({"server": "vllm", "video_as": "frames"}, ("frames", "audio_url")),
        # What the job says counts, whatever is known of the server.
        ({"server": "ollama", "video_as": "video_url"}, ("video_url", "none")),
        ({"server": "ollama", "modalities": ["video", "audio"]}, ("frames", "input_audio")),
        ({"server": "ollama", "audio_as": "audio_url"}, ("frames", "audio_url")),
        ({"server": "gemini", "audio_as": "none"}, ("frames", "none")),
        (
            {"server": "llama-server", "model": QWEN_VL, "audio_as": "input_audio"},
            ("frames", "none"),
        ),
    ],
)
def test_auto_goes_by_server_and_model(fields: dict[str, Any], expected: tuple[str, str]) -> None:
    """Pictures and sound are sent as the server takes them, sound where the model may hear it."""
    assert sent(configured(**fields)) == expected


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        ({}, ("frames", "none")),
        ({"modalities": ["video", "audio"]}, ("frames", "input_audio")),
        ({"video_as": "video_url"}, ("video_url", "none")),
    ],
)
def test_a_flag_names_the_server_of_any_job(
    stated: dict[str, Any], expected: tuple[str, str], tmp_path: Path
) -> None:
    """What follows from the server follows the flag; what the job says stays."""
    lines = {"base_url": "http://h/v1", "model": OMNI} | stated
    job = tmp_path / "job.toml"
    told = "\n".join(f"{name} = {json.dumps(value)}" for name, value in lines.items())
    job.write_text(f"[[deployments]]\n{told}\n")
    settled = job_from_flags(job, {}, each_deployment={"server": "ollama", "api_key_env": ""})
    assert sent(settled.deployments[0]) == expected


def test_what_is_sent_as_pictures_by_name_is_the_same_request() -> None:
    """A job that names the server continues one that spelled its form out."""
    spelled = configured(video_as="frames", audio_as="none", model=QWEN_VL)
    for server in ("ollama", "lm-studio", "llama-server"):
        assert printed(configured(server=server, model=QWEN_VL)) == printed(spelled)
    assert printed(configured(server="vllm")) == printed(configured())


@pytest.mark.parametrize(
    ("fields", "earlier"),
    [
        # Computed by the version before kinds of servers were known.
        ({"model": QWEN_VL}, "d408115d7259c7e3"),
        ({"model": QWEN_VL, "modalities": ["video"]}, "d408115d7259c7e3"),
        ({"model": QWEN_VL, "audio_as": "none"}, "7ad88817674b88fa"),
        (
            {"base_url": "https://api.openai.com/v1", "model": "gpt-4o", "video_as": "frames"},
            "9040af108220a8c6",
        ),
        ({}, "19d351b5f2f91a1a"),
        ({"model": "allenai/Molmo2-8B"}, "c15586a263c8b903"),
    ],
)
def test_what_auto_meant_before_is_remembered(fields: dict[str, Any], earlier: str) -> None:
    """The captions of an earlier version have the fingerprint that their job had then."""
    assert printed(configured(**fields).as_before_servers) == earlier


def test_pictures_are_counted_where_the_server_counts_as_the_model_does() -> None:
    """What Ollama makes of a picture is its own affair, so nothing is expected of it."""
    on_vllm = configured(server="vllm", model=QWEN_VL, video_as="frames").known_as
    assert on_vllm.video_tokens is not None
    assert on_vllm.video_tokens(60, 640, 360, 1.0) == 60 * (220 + 2)
    assert configured(server="ollama", model=QWEN_VL).known_as.video_tokens is None
    assert configured(server="vllm", model=QWEN_VL).known_as.video_tokens is None
