"""The canary tells servers apart that keep, drop, repeat, turn and invent."""

from typing import Any

import anyio
import pytest

from captionfleet.check.asking import Asked, ask_deployment
from captionfleet.check.drawing import DrawnClip
from captionfleet.config import JobConfig
from captionfleet.standin.faults import parse_fault
from captionfleet.standin.options import StandinOptions
from captionfleet.standin.server import serving
from tests.support.replica import answer, error_body, scripted, times
from tests.support.sending import QUICK

pytestmark = pytest.mark.anyio

ALL_FRAMES = """--media-io-kwargs '{"video":{"num_frames":-1}}'"""
WELL = {"picture": "ok", "frames": "ok", "sound": "ok"}


async def asked(base_url: str, clips: list[DrawnClip], **deployment: Any) -> Asked:
    """Ask one deployment."""
    one = {"base_url": base_url, "model": "qwen3-omni", "api_key_env": ""} | deployment
    job = JobConfig.model_validate({"deployments": [one]})
    with anyio.fail_after(60):
        return await ask_deployment(job, job.deployments[0], clips, tuning=QUICK)


async def asked_standin(clips: list[DrawnClip], model: str, **options: Any) -> dict[str, Any]:
    """What is found of a stand-in, by what was looked at."""
    async with serving(StandinOptions(**options)) as standin:
        found = await asked(standin.base_url, clips, model=model)
    return {finding.check: finding for finding in found.findings}


@pytest.mark.parametrize(
    ("model", "options", "wrong", "words"),
    [
        ("qwen3-omni", {}, {}, ""),
        ("m", {}, {}, ""),
        ("qwen3-omni", {"strict": False}, {}, ""),
        ("qwen3-omni", {"frames": "32"}, {"frames": "fail"}, ALL_FRAMES),
        ("m", {"frames": "32"}, {"frames": "fail"}, ALL_FRAMES),
        ("qwen3-omni", {"frames": "2fps"}, {"frames": "fail"}, '"fps":1'),
        ("qwen3-omni", {"deaf": True}, {"sound": "fail"}, 'modalities = ["video"]'),
        ("m", {"deaf": True}, {"sound": "fail"}, "vllm[audio]"),
        ("qwen3-omni", {"turned_deg": 90}, {"picture": "fail"}, "clockwise by 90"),
        ("qwen3-omni", {"turned_deg": 180}, {"picture": "fail"}, "180 degrees"),
        ("qwen3-omni", {"turned_deg": 270}, {"picture": "fail"}, "counter-clockwise by 90"),
        ("qwen3-omni", {"tells_usage": False}, {"frames": "warn"}, "usage"),
        (
            "qwen3-omni",
            {"watch_media": False, "tells_usage": False},
            {"picture": "fail", "frames": "warn", "sound": "fail"},
            "does not see the video",
        ),
    ],
)
async def test_servers_are_told_apart(
    clips: list[DrawnClip], model: str, options: dict[str, Any], wrong: dict[str, str], words: str
) -> None:
    """What a server does wrong is found, named with what mends it, and nothing else is."""
    found = await asked_standin(clips, model, **options)
    assert {check: found[check].level for check in WELL} == WELL | wrong
    told = " ".join(f"{found[check].text} {found[check].advice}" for check in wrong)
    assert words in told


async def test_a_deployment_that_does_not_hear_is_sent_no_sound(clips: list[DrawnClip]) -> None:
    """Molmo2 is asked about two clips, without sound, and counted by its own arithmetic."""
    options = StandinOptions(profile="molmo2", modalities=("video",))
    async with serving(options) as standin:
        found = await asked(standin.base_url, clips, model="allenai/Molmo2-8B")
        assert standin.ledger.total == 2
    levels = {finding.check: finding.level for finding in found.findings}
    assert (levels["picture"], levels["frames"], "sound" in levels) == ("ok", "ok", False)


async def test_sound_that_is_refused_is_told_with_its_cure(clips: list[DrawnClip]) -> None:
    """A model that takes no sound answers 400 to the clip that has some."""
    found = await asked_standin(clips, "m", modalities=("video",))
    assert found["sound"].level == "fail"
    assert 'set modalities = ["video"]' in found["sound"].advice


@pytest.mark.parametrize(
    ("broken", "check"),
    [
        ("2, 3, 4, 6, 7, 8", "sound"),  # the silent clip is answered once more, as the fifth
        ("2, 3, 4, 5, 6, 7, 8, 9, 10", "reachable"),
    ],
)
async def test_5xx_to_sound_alone_is_its_refusal(
    clips: list[DrawnClip], broken: str, check: str
) -> None:
    """llama-server says 500 to sound that is not heard; one that is down says it to all."""
    faults = tuple(parse_fault(f"500+after={int(at) - 1}+first=1") for at in broken.split(", "))
    async with serving(StandinOptions(faults=faults)) as standin:
        found = await asked(standin.base_url, clips)
    levels = {finding.check: finding.level for finding in found.findings}
    assert levels[check] == "fail"
    assert ("sound" in levels) == (check == "sound")


async def test_a_failure_that_passes_is_asked_again(clips: list[DrawnClip]) -> None:
    """A 503 and a broken answer on the way are no finding."""
    faults = (parse_fault("503+first=1"), parse_fault("truncate+after=1+first=1"))
    async with serving(StandinOptions(faults=faults)) as standin:
        found = await asked(standin.base_url, clips)
        assert standin.ledger.total == 5
    assert {finding.level for finding in found.findings} == {"ok"}
    assert found.tokens > 9000
    assert found.long_s is not None


@pytest.mark.parametrize(
    ("status", "check", "words"),
    [
        (401, "key", "refuses the key"),
        (404, "model", "accounts/fireworks/models/m#accounts/A/deployments/D"),
        (500, "reachable", "HTTP 500"),
    ],
)
async def test_a_deployment_that_cannot_be_used_is_exit_code_4(
    clips: list[DrawnClip], status: int, check: str, words: str
) -> None:
    """The reason is told as a run would tell it, the three forms of a model string included."""
    async with scripted(*times(3, answer(status, error_body("X")))) as replica:
        model = "accounts/A/models/m#accounts/A/deployments/D"
        found = await asked(replica.base_url, clips, model=model, provider="fireworks",
                            api_key_env="PATH")  # fmt: skip
    last = found.findings[-1]
    assert (last.check, last.level, last.exit_code) == (check, "fail", 4)
    assert words in last.text


async def test_a_sleeping_deployment_is_no_failure(clips: list[DrawnClip]) -> None:
    """It is waking up: the check says so and asks no more."""
    async with serving(StandinOptions(cold_start_s=600)) as standin:
        found = await asked(standin.base_url, clips)
        assert standin.ledger.total == 1
    last = found.findings[-1]
    assert (last.check, last.level) == ("model", "warn")


@pytest.mark.parametrize(
    ("fault", "level", "words"),
    [(None, "ok", "fits response_schema"), ("not-json+after=3", "fail", "invalid_structure")],
)
async def test_json_is_asked_for_once_by_the_job_itself(
    clips: list[DrawnClip], fault: str | None, level: str, words: str
) -> None:
    """A job with a schema is told whether the deployment keeps to it."""
    schema = {"type": "object", "properties": {"caption": {"type": "string"}}}
    options = StandinOptions(faults=(parse_fault(fault),) if fault else ())
    async with serving(options) as standin:
        job = JobConfig.model_validate(
            {
                "request": {"response_schema": schema},
                "deployments": [
                    {"base_url": standin.base_url, "model": "qwen3-omni", "api_key_env": ""}
                ],
            }
        )
        found = await ask_deployment(job, job.deployments[0], clips, tuning=QUICK)
    last = found.findings[-1]
    assert (last.check, last.level) == ("structure", level)
    assert words in last.text


async def test_a_deployment_that_the_job_brings_up_may_be_down(
    clips: list[DrawnClip], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the job has a life cycle for it, a 404 is what to expect beforehand."""
    monkeypatch.setenv("THE_KEY", "hush")
    async with scripted(*times(3, answer(404, error_body("NOT_FOUND")))) as replica:
        found = await asked(
            replica.base_url, clips, lifecycle={"account": "A"}, api_key_env="THE_KEY"
        )
    assert (found.findings[-1].check, found.findings[-1].level) == ("model", "warn")


async def test_nobody_there_and_no_key(clips: list[DrawnClip]) -> None:
    """No connection is exit code 4, and a key that is not set is 2, as in a run."""
    nobody = await asked("http://127.0.0.1:9/v1", clips)
    assert [(one.check, one.exit_code) for one in nobody.findings] == [("key", 0), ("reachable", 4)]
    keyless = await asked("http://127.0.0.1:9/v1", clips, api_key_env="NO_SUCH_KEY")
    assert [(one.check, one.exit_code) for one in keyless.findings] == [("key", 2)]
