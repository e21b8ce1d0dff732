"""Hides possible secrets in the settings that run.json holds; pure (main process)."""

import os
import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import orjson

from captionfleet.config.job import JobConfig
from captionfleet.messages.address import shown_name

__all__ = ["hashed_values", "strings_in", "written_settings"]

_PREFIX = "sha256:"
# 16 of 64 digits: enough to distinguish values, and short enough to read.
_SHOWN_HEX = 16
_HASHED = re.compile(rf"{_PREFIX}[0-9a-f]{{{_SHOWN_HEX}}}")


def hashed_values(extra_body: Mapping[str, Any]) -> dict[str, str]:
    """The values of extra_body, which may be secrets, as hashes; hashes are not hashed again."""
    return {name: _hashed(value) for name, value in extra_body.items()}


def written_settings(job: JobConfig) -> dict[str, Any]:
    """The job's settings for run.json."""
    settings = job.model_dump()
    sources = settings["input"]["sources"]
    settings["input"]["sources"] = tuple(shown_name(os.fspath(one)) for one in sources)
    for deployment in settings["deployments"]:
        deployment["extra_body"] = hashed_values(deployment["extra_body"])
    return settings


def strings_in(value: Any) -> list[str]:
    """Every string in extra_body at any depth, the longest first."""
    found, waiting = set[str](), [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            found.add(one)
        elif isinstance(one, Mapping):
            waiting += one.values()
        elif isinstance(one, list | tuple):
            waiting += one
    return sorted(found, key=len, reverse=True)


def _hashed(value: Any) -> str:
    if isinstance(value, str) and _HASHED.fullmatch(value):
        return value
    text = orjson.dumps(value, option=orjson.OPT_SORT_KEYS, default=str)
    return f"{_PREFIX}{sha256(text).hexdigest()[:_SHOWN_HEX]}"
