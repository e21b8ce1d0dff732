"""Where the recipes lie, and what the command line makes of the commands in them."""

import re
import shlex
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from cyclopts import CycloptsError

from captionfleet.cli import app
from captionfleet.config.memory import ENOUGH_BYTES, MAIN_PROCESS_BYTES, worker_bytes

ROOT = Path(__file__).parents[2]
JOBS = ROOT / "jobs"
DOCKER = ROOT / "docker"
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
IMAGE = f"{PROJECT['name']}:{PROJECT['version']}"

_COMMENT = re.compile(r"^\s*#+ ?", re.MULTILINE)
_CONTINUED = re.compile(r"\\\n\s*")
_OURS = re.compile(
    r"(?:^|[\s/])captionfleet(?::[\w.]+)? (?=run |prepare |serve |demo |deployment |check )(.*)"
)
_SHELL_OPERATOR = re.compile(r"\s(?:\||>|2>|&&|;)\s.*|'$")


def adds_up(limit: str, workers: int) -> bool:
    """Whether the default share of each worker is enough, and all of it within the limit."""
    amount, unit = re.fullmatch(r"(\d+)([GM])i?", limit.upper().replace("I", "i")).groups()  # type: ignore[union-attr]
    limit_bytes = int(amount) * {"G": 2**30, "M": 2**20}[unit]
    each = worker_bytes(workers, limit_bytes)
    return each >= ENOUGH_BYTES and MAIN_PROCESS_BYTES + workers * each <= limit_bytes


def understood(arguments: Sequence[str]) -> dict[str, Any]:
    """What the command line reads in these arguments, by parameter; nothing is run."""
    try:
        _, bound, _ = app.parse_args(list(arguments), exit_on_error=False, print_error=False)
    except CycloptsError as error:
        raise AssertionError(f"{shlex.join(arguments)}: {error}") from None
    flags = bound.arguments.get("flags")
    given = {} if flags is None else _given(flags)
    return {name: value for name, value in bound.arguments.items() if name != "flags"} | given


def _given(flags: Any) -> dict[str, Any]:
    """What was typed of the flags that stand in one value, and not what is so by default."""
    default = type(flags)()
    every = {one.name: getattr(flags, one.name) for one in fields(flags)}
    return {name: value for name, value in every.items() if value != getattr(default, name)}


def commands_in(path: Path) -> Iterator[list[str]]:
    """The arguments of every captionfleet command in a file, its comments and its examples."""
    text = _CONTINUED.sub(" ", _COMMENT.sub("", path.read_text()))
    for line in text.splitlines():
        if found := _OURS.search(line):
            yield shlex.split(_SHELL_OPERATOR.sub("", found[1]), comments=True)
