"""Computes a request's fingerprint: of all that decides a caption besides the clip; pure."""

from collections.abc import Collection, Mapping
from hashlib import blake2b
from typing import Any

import orjson

from captionfleet.config import DeploymentConfig, JobConfig, RequestConfig
from captionfleet.config.withheld import hashed_values
from captionfleet.errors import ConfigError

__all__ = [
    "Facts",
    "admitted",
    "fingerprint",
    "request_change",
    "request_facts",
    "request_of",
    "row_fingerprint",
    "row_request_facts",
    "written_facts",
]

Facts = Mapping[str, Any]
"""The parts of a request that decide its caption, by the names of the job file."""

_DIGEST_BYTES = 8
_SHOWN_CHARS = 40
# Fields of requests that do not change a caption.
_NOT_RELEVANT = frozenset(
    {
        "metadata",
        "perf_metrics_in_response",
        "priority",
        "prompt_cache_isolation_key",
        "prompt_cache_key",
        "request_id",
        "service_tier",
        "store",
        "stream_options",
        "user",
    }
)
_MEDIA = ("fps", "height", "max_seconds", "sampling", "video_preset", "audio_bitrate")
# Equivalent encodings: captions from either count for both, so that folders of versions whose
# default was `fast` are not paid for again.
_SAME_PICTURE = {"one_fps": "fast"}


def request_facts(
    job: JobConfig, deployment: DeploymentConfig, request: RequestConfig | None = None
) -> Facts:
    """The facts of the requests that a job sends to one of its deployments.

    `request` defaults to the job's first. Limits on media are left out, as they change nothing
    within them; so is the request's name, which is a key of its own.
    """
    request = request or job.request
    schema = request.response_schema
    extra_body = {k: v for k, v in deployment.extra_body.items() if k not in _NOT_RELEVANT}
    return {
        "prompt": request.prompt,
        **({"prompt_template": True} if request.prompt_template else {}),
        "system": request.system,
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
        "model": _model(deployment.model),
        "modalities": sorted(deployment.modalities),
        "extra_body": extra_body,
        **({"response_schema": schema} if schema is not None else {}),
        **_form_facts(deployment),
        **{f"media.{name}": getattr(job.media, name) for name in _MEDIA},
        "media.video_preset": _SAME_PICTURE.get(job.media.video_preset, job.media.video_preset),
    }


def _form_facts(deployment: DeploymentConfig) -> Facts:
    """The form of the media; empty for the default form, which early versions did not record."""
    form, frames = deployment.form, deployment.frames
    facts: dict[str, Any] = {}
    if form.video_as == "frames":
        facts["video_as"] = "frames"
        facts |= {f"frames.{name}": value for name, value in frames.model_dump().items()}
    if "audio" in deployment.modalities and form.audio_as != "audio_url":
        facts["audio_as"] = form.audio_as
    if "audio" in deployment.modalities and form.audio_format != "ogg":
        facts["audio_format"] = form.audio_format
    return facts


def row_request_facts(job: JobConfig, deployment: DeploymentConfig) -> Facts:
    """The facts of requests for rows with their own prompt, without that prompt."""
    facts = {**request_facts(job, deployment), "prompt": None}
    facts.pop("prompt_template", None)
    return facts


def row_fingerprint(request: str, prompt: str) -> str:
    """The fingerprint of a row's request: that of the rows' requests, then that of its prompt."""
    return f"{request}-{blake2b(prompt.encode(), digest_size=_DIGEST_BYTES).hexdigest()}"


def request_of(fingerprint: str) -> str:
    """The part of a fingerprint that is in requests.json."""
    return fingerprint.partition("-")[0]


def _model(model: str) -> str:
    """The model in a string that names model and deployment; a deployment alone stays as it is."""
    return model.partition("#")[0]


def fingerprint(facts: Facts) -> str:
    """16 hex digits that stay the same from release to release."""
    text = orjson.dumps(dict(facts), option=orjson.OPT_SORT_KEYS, default=str)
    return blake2b(text, digest_size=_DIGEST_BYTES).hexdigest()


def written_facts(facts: Facts) -> dict[str, Any]:
    """The facts as written and compared, with the values of extra_body hashed: they may be secrets.

    Fingerprints are made of the unhashed facts.
    """
    extra_body = facts.get("extra_body")
    if not isinstance(extra_body, Mapping):
        return {name: value for name, value in facts.items() if name != "extra_body"}
    return {**facts, "extra_body": hashed_values(extra_body)}


def admitted(
    there: Mapping[str, Facts | None], here: Mapping[str, Facts], *, recaption: bool, name: str = ""
) -> frozenset[str]:
    """The fingerprints whose captions still count after this run, for one request.

    A fleet may gain or lose deployments between runs. So the requests of the existing captions must
    include those of this run, or the other way round.

    Args:
        there: the requests behind the captions, with their facts where known.
        here: the requests of this run.
        recaption: replace captions of other requests rather than refuse.
        name: the request's name, where the job has several.

    Raises:
        ConfigError: another request made the captions.
    """
    known, own = frozenset(there), frozenset(here)
    if known <= own or own <= known:
        return known | own
    if recaption:
        return own
    of_name = f" of request {name}" if name else ""
    raise ConfigError(
        f"the captions{of_name} there were made with another request ({_change(there, here)}): "
        "choose another folder with --out, or replace them with --recaption"
    )


def request_change(
    there: Mapping[str, Facts | None], here: Mapping[str, Facts | None]
) -> str | None:
    """How two sets of requests differ; None where one includes the other."""
    known, own = frozenset(there), frozenset(here)
    if known <= own or own <= known:
        return None
    return _change(there, {key: facts for key, facts in here.items() if facts is not None})


def _change(there: Mapping[str, Facts | None], here: Mapping[str, Facts]) -> str:
    """How the two most similar requests differ, among those that only one side has."""
    pairs: list[list[str]] = [
        _differences(old, new)
        for key, old in there.items()
        for other, new in here.items()
        if old is not None and key not in here and other not in there
    ]
    if not pairs:
        return "of unknown content"
    fewest: list[str] = min(pairs, key=len)
    return "; ".join(fewest)


def _differences(old: Facts, new: Facts) -> list[str]:
    names: Collection[str] = dict.fromkeys([*new, *old])
    return [
        _extra_body_difference(written_facts(old), written_facts(new))
        if name == "extra_body"
        else f"{name}: {_shown(old.get(name))} there, {_shown(new.get(name))} here"
        for name in names
        if old.get(name) != new.get(name)
    ]


def _extra_body_difference(old: Facts, new: Facts) -> str:
    there, here = old.get("extra_body", {}), new.get("extra_body", {})
    names = [name for name in dict.fromkeys([*here, *there]) if there.get(name) != here.get(name)]
    return f"extra_body: {_shown(', '.join(names))}"


def _shown(value: object) -> str:
    text = " ".join(orjson.dumps(value, default=str).decode().split())
    return text if len(text) <= _SHOWN_CHARS else f"{text[: _SHOWN_CHARS - 2]}…{text[-1]}"
