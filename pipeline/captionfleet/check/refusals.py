"""Interprets refusals of test clips by a deployment (main process)."""

from collections.abc import Mapping, Sequence

from captionfleet.check.canary import CanaryClip
from captionfleet.check.finding import Finding, fail, warn
from captionfleet.config import DeploymentConfig
from captionfleet.errors import FailureCode
from captionfleet.sender import Fleet
from captionfleet.sender.chat.answers import Answer
from captionfleet.sender.routing.verdict import Verdict

__all__ = ["AGAIN", "refusals", "unusable"]

AGAIN = "the clip without sound, once more"
"""The name of that clip's second outcome, requested after a 5xx to the clip with sound."""
_UNUSABLE = 4
# llama-server answered 400 to video_url (ggml-org/llama.cpp#27724); transformers serve takes no
# video as a data URL, and reads sound from the video itself (its source, 2026-11).
_PICTURES = (
    "if the server takes pictures and no video, name it: "
    'server = "llama-server", "ollama", "lm-studio" or "openai"; '
    'for others, as transformers serve, set video_as = "frames"'
)


def refusals(
    fleet: Fleet,
    deployment: DeploymentConfig,
    clips: Sequence[CanaryClip],
    outcomes: Mapping[str, Answer | Verdict],
) -> list[Finding]:
    """Findings on refused clips; if only the clip with sound is refused, the sound is the cause.

    llama-server answers 500 to sound if its model takes none; a server that is down also answers
    5xx to the clip without sound.

    Args:
        fleet: The fleet with the deployment, for its wording.
        deployment: The deployment that was asked.
        clips: The test clips.
        outcomes: The outcomes by clip name; may include `AGAIN`.
    """
    found = [(clip, outcomes.get(clip.name)) for clip in clips]
    verdicts = [(clip, outcome) for clip, outcome in found if isinstance(outcome, Verdict)]
    silent = [outcomes.get(clip.name) for clip in clips if clip.sound == "none"]
    if all(isinstance(one, Answer) for one in [*silent, outcomes.get(AGAIN, silent[0])]):
        for clip, verdict in verdicts:
            if clip.sound == "speech" and _is_deaf(verdict):
                return [_sound_refused(deployment, verdict)]
    return [_refused(fleet, deployment, clip, verdict) for clip, verdict in verdicts]


def _is_deaf(verdict: Verdict) -> bool:
    codes = {FailureCode.REJECTED, FailureCode.SERVER_ERROR}
    return verdict.code in codes and not verdict.fatal


def _sound_refused(deployment: DeploymentConfig, verdict: Verdict) -> Finding:
    advice = 'set modalities = ["video"]'
    if deployment.form.audio_as == "audio_url":
        advice += ', or audio_as = "input_audio" if the server takes sound as OpenAI does'
    text = f"sound is refused ({verdict.detail})"
    return fail("sound", text, advice, deployment=deployment.name)


def _refused(
    fleet: Fleet, deployment: DeploymentConfig, clip: CanaryClip, verdict: Verdict
) -> Finding:
    name = deployment.name
    if verdict.code is FailureCode.SCALING_UP:
        text = "sleeps, and is waking up now"
        return warn("model", text, "check again in a few minutes; a run waits", deployment=name)
    if verdict.code is FailureCode.MODEL_NOT_FOUND and deployment.lifecycle:
        text = "is not up: the job brings it up, and this check does not"
        advice = "check again while it is, after captionfleet deployment create"
        return warn("model", text, advice, deployment=name)
    if verdict.fatal or verdict.code is not FailureCode.REJECTED:
        return unusable(fleet, name, verdict)
    text = f"the {clip.name} clip is refused ({verdict.detail})"
    if deployment.form.video_as == "video_url":
        return fail("request", text, _PICTURES, deployment=name)
    return fail("request", text, deployment=name)


def unusable(fleet: Fleet, name: str, verdict: Verdict) -> Finding:
    """The finding for a deployment that no run could use."""
    by_code = {FailureCode.UNAUTHORIZED: "key", FailureCode.MODEL_NOT_FOUND: "model"}
    check = by_code.get(verdict.code, "reachable")
    return fail(check, fleet.advice(name, verdict), deployment=name, exit_code=_UNUSABLE)
