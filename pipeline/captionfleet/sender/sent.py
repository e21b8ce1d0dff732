"""Selects the form of a clip's media that a deployment gets; pure (main process)."""

from dataclasses import replace

from captionfleet.config import DeploymentConfig
from captionfleet.messages import MediaFacts, ReadyClip, base64_bytes

__all__ = ["as_sent", "sent_facts"]


def as_sent(ready: ReadyClip, deployment: DeploymentConfig) -> ReadyClip:
    """The clip in the deployment's form, with the facts of the media sent."""
    own = ready.in_form(deployment.form)
    return replace(own, facts=sent_facts(own.facts, deployment), others=())


def sent_facts(facts: MediaFacts, deployment: DeploymentConfig) -> MediaFacts:
    """The facts of the media sent: a deployment that does not hear gets no sound."""
    if facts.has_audio and "audio" in deployment.modalities:
        return facts
    return replace(
        facts,
        has_audio=False,
        audio_s=0.0,
        audio_bytes=0,
        audio_sha256=None,
        audio_as="none",
        payload_bytes=facts.payload_bytes - base64_bytes(facts.audio_bytes),
    )
