"""Finds problems in a job's settings, before any request; pure (main process)."""

import re
from collections.abc import Iterator

from captionfleet.check.finding import Finding, fail, ok, warn
from captionfleet.config import DeploymentConfig, JobConfig
from captionfleet.profiles import PROFILES, unknown_fields

__all__ = ["setting_findings"]

_MODEL_FORM = re.compile(
    r"(accounts/[^/#\s]+/models/[^/#\s]+#)?accounts/[^/#\s]+/deployments/[^/#\s]+"
)
_BAD_JOB = 2


def setting_findings(job: JobConfig) -> Iterator[Finding]:
    """Findings on the job file as a whole and on each deployment."""
    if not job.deployments:
        advice = "give --base-url URL and --model NAME, or [[deployments]]"
        yield fail("job", "no deployment is named", advice, exit_code=_BAD_JOB)
        return
    yield ok("job", f"{len(job.deployments)} deployment(s), up to {job.media.max_seconds} s a clip")
    for request in job.asked:
        if names := request.names_in_vain:
            text = f"{', '.join(names)} in braces is sent as it is"
            yield warn("prompt", text, "prompt_template = true fills it in for each clip")
        asked = f"{request.prompt} {request.system or ''}"
        if request.response_schema is not None and "json" not in asked.lower():
            of_name = f" of request {request.name}" if request.name else ""
            yield warn(
                "prompt",
                f"response_schema{of_name} is set, and neither prompt nor system says JSON",
                "ask for JSON: otherwise a model may write blanks up to max_tokens",
            )
    for deployment in job.deployments:
        yield from _deployment(job, deployment)


def _deployment(job: JobConfig, one: DeploymentConfig) -> Iterator[Finding]:
    yield _profile(one)
    if "audio" in one.modalities and one.served_by.sound == "never":
        text = f"{one.served_by.name} takes no sound beside pictures ({one.served_by.source})"
        yield warn("sound", text, 'set modalities = ["video"]', deployment=one.name)
    if one.speaks_fireworks and not _MODEL_FORM.fullmatch(one.model):
        yield warn(
            "model",
            f"{one.model!r} is none of the forms that dedicated deployments have",
            "accounts/ACCOUNT/deployments/ID, or MODEL#DEPLOYMENT with full names",
            deployment=one.name,
        )
    if unknown := unknown_fields(one.extra_body, speaks_fireworks=one.speaks_fireworks):
        text = f"extra_body holds {', '.join(unknown)}, which Fireworks does not document"
        yield warn("request", text, "it refuses requests with such fields", deployment=one.name)
    if job.media.max_payload_bytes > 10_000_000 and one.speaks_fireworks:  # noqa: PLR2004 - theirs
        text = f"max_payload_bytes is {job.media.max_payload_bytes:,}"
        yield warn("request", text, "Fireworks takes less than 10,000,000", deployment=one.name)


def _profile(one: DeploymentConfig) -> Finding:
    known, sent = one.known_as, " and ".join(one.modalities)
    if one.form.video_as == "frames":
        sent = sent.replace("video", "pictures")
    if known.name == "generic":
        names = ", ".join(name for name in PROFILES if name != "generic")
        advice = f"if it is one of {names}, set profile"
        if one.served_by.sound == "if it hears" and "audio" not in one.modalities:
            advice += '; if it hears, set modalities = ["video", "audio"]'
        text = f"the model is not known by its string; {sent} will be sent"
        return warn("profile", text, advice, deployment=one.name)
    if not set(one.modalities) <= set(known.modalities):
        advice = 'set modalities = ["video"]'
        return warn("profile", f"{known.name} does not hear", advice, deployment=one.name)
    return ok("profile", f"{known.name}: {sent} will be sent", deployment=one.name)
