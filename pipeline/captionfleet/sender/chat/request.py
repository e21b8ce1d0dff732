"""Builds the body of a chat-completions request; pure (main process).

The body's size is known before any media is read: it is JSON around media parts, into whose holes
the client streams base64 from the files.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import orjson

from captionfleet.config import DeploymentConfig, RequestConfig
from captionfleet.errors import ConfigError
from captionfleet.messages import base64_bytes
from captionfleet.sender.chat.parts import Piece

__all__ = [
    "BodyTemplate",
    "body_template",
    "model_forms",
    "request_body",
    "size_bytes",
]

_SCHEMA_NAME = "caption"
_RESERVED = frozenset({"messages", "model", "stream"})


@dataclass(frozen=True, slots=True)
class BodyTemplate:
    """The JSON of a request around the parts that hold its media."""

    head: bytes
    tail: bytes

    def around(self, media: Sequence[Piece]) -> list[Piece]:
        """The whole body around these media."""
        return [self.head, *media, self.tail]


def size_bytes(pieces: Sequence[Piece]) -> int:
    """The Content-Length of a body."""
    return sum(
        len(piece) if isinstance(piece, bytes) else base64_bytes(piece.size_bytes)
        for piece in pieces
    )


def request_body(
    request: RequestConfig, deployment: DeploymentConfig, media: Sequence[Any]
) -> dict[str, Any]:
    """The body as a value, around the media's parts.

    The order video, audio, text is that of the vendor's own examples. Fireworks refuses fields that
    it does not document, and sends usage in streams without being asked.

    Raises:
        ConfigError: extra_body holds a field that this program sets.
    """
    parts = [*media, {"type": "text", "text": request.prompt}]
    messages: list[dict[str, Any]] = [{"role": "user", "content": parts}]
    if request.system is not None:
        messages.insert(0, {"role": "system", "content": request.system})
    body: dict[str, Any] = {
        "model": deployment.model,
        "messages": messages,
        deployment.served_by.limit_field: request.max_tokens,
        "temperature": request.temperature,
    }
    if request.response_schema is not None:
        schema = {"name": _SCHEMA_NAME, "schema": request.response_schema}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    if request.stream:
        body["stream"] = True
        if not deployment.speaks_fireworks:
            body["stream_options"] = {"include_usage": True}
    return _with_extra(body, deployment)


def _with_extra(body: dict[str, Any], deployment: DeploymentConfig) -> dict[str, Any]:
    decided = _RESERVED | ({"response_format"} & body.keys())
    if taken := decided & deployment.extra_body.keys():
        raise ConfigError(
            f"deployment {deployment.name}: extra_body must not hold {', '.join(sorted(taken))}"
        )
    if {"max_tokens", "max_completion_tokens"} & deployment.extra_body.keys():
        del body[deployment.served_by.limit_field]  # two names of one setting
    return body | deployment.extra_body


def body_template(request: RequestConfig, deployment: DeploymentConfig) -> BodyTemplate:
    """The body for this deployment, as bytes around the media's parts.

    Raises:
        ConfigError: extra_body cannot be sent.
    """
    mark = _unused_mark(_dumped(request, deployment, ""))
    head, _, tail = _dumped(request, deployment, mark).partition(f'"{mark}"'.encode())
    return BodyTemplate(head, tail)


def _unused_mark(body: bytes) -> str:
    # The mark stands between its own quotes, and its @ signs keep it from overlapping any text.
    return next(mark for n in count() if (mark := f"@{n}@").encode() not in body)


def _dumped(request: RequestConfig, deployment: DeploymentConfig, mark: str) -> bytes:
    try:
        return orjson.dumps(request_body(request, deployment, [mark]))
    except TypeError:
        # Not chained: the encoder's error quotes the value.
        raise ConfigError(
            f"deployment {deployment.name}: prompt, system, model and extra_body must be "
            "valid Unicode text and JSON values"
        ) from None


def model_forms(model: str) -> tuple[str, str, str]:
    """The three forms of model string that Fireworks' documentation uses for a deployment.

    Account, model and deployment are taken from the given string, as far as it names them.
    """
    found = dict(reversed(re.findall(r"(accounts|models|deployments)/([^/#\s]+)", model)))
    account = next(
        (name for name in re.findall(r"accounts/([^/#\s]+)", model) if name != "fireworks"),
        "ACCOUNT",
    )
    name = found.get("models", "MODEL")
    deployment = f"accounts/{account}/deployments/{found.get('deployments', 'ID')}"
    return (
        deployment,
        f"accounts/fireworks/models/{name}#{deployment}",
        f"accounts/{account}/models/{name}#{deployment}",
    )
